"""That every program says what it can be asked."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
from contestants import BIN

FOLDER = pathlib.Path(__file__).resolve().parent
INTERNAL = {"launch"}  # for mpirun alone


class Help(unittest.TestCase):
    def check(self, command, beginning):
        done = subprocess.run(
            command,
            cwd=FOLDER.parent,
            env=os.environ | {"COLUMNS": "80"},
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(beginning, done.stdout)
        for line in done.stdout.splitlines():
            self.assertLessEqual(len(line), 80, line)

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
        kinds = "*-server", "*-client", "load-*", "ring"
        programs = [path for kind in kinds for path in BIN.glob(kind)]
        self.assertIn(BIN / "ring", programs)
        for path in programs:
            with self.subTest(path.name):
                self.check([path, "--help"], "Usage: ")


if __name__ == "__main__":
    unittest.main()
