"""That every program says what it can be asked."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import contestants
from contestants import BIN

CLIENTS = os.environ.get("CLIENTS", "epoll-level").split()
FOLDER = pathlib.Path(__file__).resolve().parent
INTERNAL = {"launch"}  # for mpirun alone


class Help(unittest.TestCase):
    def check(self, command, part):
        """Its lines; `part` is in them."""
        done = subprocess.run(
            command,
            cwd=FOLDER.parent,
            env=os.environ | {"COLUMNS": "80"},
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(part, done.stdout)
        lines = done.stdout.splitlines()
        for line in lines:
            self.assertLessEqual(len(line), 80, line)
        return "\n".join(lines)

    def test_of_make_fits_a_terminal(self):
        self.check(["make", "--no-print-directory", "help"], "run-<model>")

    def test_of_the_scripts_fits_a_terminal(self):
        programs = [path for path in FOLDER.iterdir() if path.is_file()
                    and not path.suffix and path.name not in INTERNAL
                    and os.access(path, os.X_OK)]  # fmt: skip
        self.assertIn(FOLDER / "compare", programs)
        for path in programs:
            with self.subTest(path.name):
                self.check([path, "--help"], "usage: ")

    def test_of_servers_clients_and_loads_fits_it(self):
        programs = [
            "ring",
            *(f"{name}-server" for name in contestants.server_names()),
            *(f"{name}-client" for name in CLIENTS),
            *(f"load-{name}" for name in CLIENTS),
        ]
        for name in programs:
            with self.subTest(name):
                self.check([BIN / name, "--help"], "Usage: ")

    def test_of_the_merging_has_nothing_of_a_run(self):
        load = BIN / f"load-{CLIENTS[0]}"
        said = self.check([load, "merge", "--help"], "--hgrm")
        self.assertNotIn("--rank-hgrm", said)
        self.assertNotIn("--quiet", said)


if __name__ == "__main__":
    unittest.main()
