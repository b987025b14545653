"""That every program of this folder says what it can be asked."""

import os
import pathlib
import subprocess
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent
INTERNAL = {"launch"}  # for mpirun alone


class Help(unittest.TestCase):
    def test_fits_a_terminal(self):
        programs = [path for path in FOLDER.iterdir() if path.is_file()
                    and not path.suffix and path.name not in INTERNAL
                    and os.access(path, os.X_OK)]  # fmt: skip
        self.assertIn(FOLDER / "compare", programs)
        for path in programs:
            with self.subTest(path.name):
                done = subprocess.run(
                    [path, "--help"],
                    env=os.environ | {"COLUMNS": "80"},
                    capture_output=True,
                    text=True,
                )
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertTrue(done.stdout.startswith("usage: "))
                for line in done.stdout.splitlines():
                    self.assertLessEqual(len(line), 80, line)


if __name__ == "__main__":
    unittest.main()
