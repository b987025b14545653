"""bench/files: its options, what it says where something cannot be tried, and that
its programs check what they read."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import contestants  # noqa: E402  (after the line that keeps the tree clean)
from test_ends import command_module  # noqa: E402

BENCH = pathlib.Path(__file__).resolve().parent
BIN = contestants.BIN
LAUNCHER = BIN.parent / "tests/tools/seccomp_launcher"
files = command_module("files")

# A way that is not there, one that cannot be tried, and one that says what it
# was asked for.
FAKE = """#!/bin/sh
case $0 in
*-file) >"$1"; exit 0 ;;
*-uring) echo "io_uring_setup: not here" >&2; exit 77 ;;
*-threads) [ "$3" != wrong ] || exit 1 ;;
esac
echo '{"reads": 10, "seconds": 0.5, "cpu_us": 20, "switches": 5, "threads": 1,
"read_calls": 12, "calls": {"pread": 10}}'
"""


def run(*words, **environment):
    """Its exit code and what it printed."""
    done = subprocess.run(
        [BENCH / "files", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        env=os.environ | environment, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout


def seen(seconds, calls, read_calls):
    return {"reads": 100, "seconds": seconds, "cpu_us": 250, "switches": 50,
            "threads": 3, "read_calls": read_calls, "calls": calls}  # fmt: skip


class Options(unittest.TestCase):
    def test_that_are_wrong_are_named(self):
        for words, part in ((("--cases", "warm"), "no case warm; there are disk"),
                            (("--depth", "0"), "--depth must be above 0"),
                            (("--block", "4097"), "in steps of 4096"),
                            (("--size", "1", "--block", "2097152"),
                             "--block is more than --size")):  # fmt: skip
            with self.subTest(words):
                code, said = run(*words)
                self.assertEqual(code, 2, said)
                self.assertIn(part, said)


class Rows(unittest.TestCase):
    def test_have_ratios_of_visits_beside_each_other(self):
        first = [seen(seconds, {"pread": 100}, 102) for seconds in (1, 2, 4)]
        other = [seen(seconds / 2, {"io_submit": 4}, 2) for seconds in (1, 2, 4)]
        self.assertIn(" 2.000 ", files.row("libaio", other, first))
        self.assertIn(" 0.04 ", files.row("libaio", other, first))
        self.assertRegex(files.row("pread", first, first), r"50  - .* 1\.00 ")

    def test_tell_the_calls_of_the_librarys_threads_apart(self):
        asked = {"aio_read": 100, "aio_suspend": 20}
        self.assertEqual(files.calls(seen(1, asked, 102)), "1.20+1.02")
        self.assertEqual(files.calls(seen(1, {"pread": 100}, 102)), "1.00")


class Ways(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        for name in ("file", "pread", "threads", "posix", "uring"):
            self.put(name, FAKE)

    def put(self, name, text):
        path = pathlib.Path(self.folder.name) / f"disk-{name}"
        path.write_text(text, "utf-8")
        path.chmod(0o755)

    def run_fakes(self, *words):
        folder = self.folder.name
        return run("--rounds", "1", "--directory", folder, *words, BIN=folder)

    def test_that_cannot_be_tried_are_left_out_and_the_file_is_removed(self):
        code, said = self.run_fakes("--cases", "cached")
        self.assertEqual(code, 0, said)
        self.assertIn("SKIP libaio: libaio-dev is missing", said)
        self.assertIn("SKIP uring: io_uring_setup: not here", said)
        rows = [line.split()[0] for line in said.splitlines()[2:-1]]
        self.assertEqual(rows[2:], ["pread", "threads", "posix", "posix-1"])
        left = os.listdir(self.folder.name)
        self.assertEqual(len(left), 5, left)

    def test_a_case_without_its_first_way_is_left_out(self):
        self.put("pread", "#!/bin/sh\necho open with O_DIRECT: no >&2; exit 77\n")
        code, said = self.run_fakes("--cases", "disk,cached")
        self.assertEqual(code, 0, said)
        self.assertIn("SKIP disk: open with O_DIRECT: no", said)

    def test_that_fail_are_a_failure(self):
        self.put("threads", "#!/bin/sh\necho wrong bytes >&2; exit 1\n")
        code, said = self.run_fakes("--cases", "cached")
        self.assertEqual(code, 1, said)
        self.assertRegex(said, "FAILED files: .*disk-threads: wrong bytes")


@unittest.skipUnless(os.access(BIN / "disk-file", os.X_OK), "make programs")
class Programs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "read"
        subprocess.run([BIN / "disk-file", self.path, "1"], check=True)
        self.ways = [path for path in BIN.glob("disk-*")
                     if path.name != "disk-file"]  # fmt: skip
        self.assertIn(BIN / "disk-pread", self.ways)

    def read(self, way, order="random", reads=300, prefix=()):
        return subprocess.run(
            [*prefix, way, self.path, order, "cached", "4096", "8", str(reads),
             "8"],
            capture_output=True, encoding="utf-8", timeout=60,
        )  # fmt: skip

    def test_read_what_is_there_in_both_orders(self):
        for way in self.ways:
            for order in ("random", "sequential"):
                with self.subTest(way.name, order=order):
                    done = self.read(way, order)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertIn('"reads":300', done.stdout)

    def test_may_have_less_to_read_than_may_be_under_way(self):
        for way in self.ways:
            with self.subTest(way.name):
                self.assertEqual(self.read(way, reads=3).returncode, 0)

    def test_find_a_wrong_byte(self):
        with open(self.path, "r+b") as file:
            file.seek(4096 * 200 + 17)
            file.write(b"?")
        for way in self.ways:
            with self.subTest(way.name):
                done = self.read(way, "sequential")
                self.assertEqual(done.returncode, 1)
                self.assertIn("read 200 at 819200: wrong bytes", done.stderr)

    def test_say_what_they_want(self):
        for words in ((), ("x", "up", "cached", "4096", "1", "1", "1"),
                      (self.path, "random", "cached", "100", "1", "1", "1"),
                      (self.path, "random", "cached", "4096", "0", "1", "1")):  # fmt: skip
            done = subprocess.run(
                [self.ways[0], *words], capture_output=True, encoding="utf-8"
            )
            self.assertEqual(done.returncode, 2, words)
            self.assertIn("usage: ", done.stderr)

    @unittest.skipUnless(os.access(LAUNCHER, os.X_OK), "make tests")
    def test_that_are_refused_say_so(self):
        for name, call in (("libaio", "io_setup"), ("uring", "io_uring_setup")):
            way = BIN / f"disk-{name}"
            if way not in self.ways:
                continue
            with self.subTest(name):
                done = self.read(way, prefix=[LAUNCHER, f"EPERM:{call}"])
                self.assertEqual(done.returncode, 77)
                self.assertRegex(done.stderr, f"{call}: Operation not permitted")

    def test_run_to_the_end_together(self):
        code, said = run("--rounds", "1", "--size", "1", "--reads", "64",
                         "--directory", str(self.path.parent))  # fmt: skip
        self.assertEqual(code, 0, said)
        for case in files.CASES:
            self.assertRegex(said, f"(?m)^(SKIP )?{case}: ")


if __name__ == "__main__":
    unittest.main()
