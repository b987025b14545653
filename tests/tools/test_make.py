"""What make does when it is only asked, in a copy of the tree."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
# A package that no machine has.
MISSING = "TEST_PACKAGES=libnothing-dev=nothing/of/this/kind.h"
# Of the lists that the Makefile makes of what is there.
KEPT = ("*.cpp", "*.hpp", "Makefile", "mk", "*.mk", "*.sh")


class Tree(unittest.TestCase):
    """Its install.sh would leave a file."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name, "tree")
        shutil.copytree(ROOT, self.tree, ignore=self.not_wanted)
        install = self.tree / "tests/tools/install.sh"
        install.write_text("#!/bin/sh\ntouch installed\n", "utf-8")
        install.chmod(0o755)

    @staticmethod
    def not_wanted(folder, names):
        here = pathlib.Path(folder) == ROOT
        return {n for n in names if here and n in ("build", ".git")}

    def make(self, *words):
        # Not as a part of the make that runs this.
        environment = {n: v for n, v in os.environ.items()
                       if not n.startswith(("MAKE", "MFLAGS"))}  # fmt: skip
        for name in ("MODE", "SERVER", "SERVERS", "CLIENTS", "BIN"):
            environment.pop(name, None)
        return subprocess.run(
            ["make", "-C", self.tree, *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
        )

    def contents(self):
        return {str(p): p.stat().st_mtime_ns for p in self.tree.rglob("*")}

    def build(self, words):
        """A tree in which something was built with these words."""
        flags = self.tree / "build/release/flags"
        done = self.make("build/release/flags", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return flags.read_text("utf-8")

    def test_nothing_is_installed_or_changed(self):
        for words in (["-n"], ["-q"], ["-kn"], ["--dry-run"], ["--question"]):
            for goal in ("test", "check", "run-epoll", "bench-quick"):
                with self.subTest(words=words, goal=goal):
                    before = self.contents()
                    told = self.make(
                        *words, goal, MISSING, "PEERS=", "MPI_LOADS="
                    )
                    self.assertEqual(self.contents(), before)
                    self.assertNotIn("***", told.stderr)
                    self.assertEqual(told.returncode, int("q" in words[0]))

    def test_what_is_missing_is_installed_where_it_is_not_only_asked(self):
        self.make("test", MISSING, "CXX=false")
        self.assertTrue((self.tree / "installed").exists())

    def test_flags_stay_what_they_were(self):
        flags = self.build([])
        for words in (["-n"], ["-q"]):
            self.make(*words, "all", "CXX=other", "RUN_PACKAGES=")
            self.assertEqual(
                (self.tree / "build/release/flags").read_text("utf-8"), flags
            )

    def test_other_flags_are_seen_by_who_asks(self):
        flag = "build/release/flags"
        self.build([])
        self.assertEqual(self.make("-q", flag).returncode, 0)
        other = ("CXXFLAGS=-O3", flag)
        self.assertEqual(self.make("-q", *other).returncode, 1)
        self.assertIn("-O3", self.build(["CXXFLAGS=-O3"]))

    def test_what_one_variant_needs_leaves_out_that_variant(self):
        """And its model only where nothing of it is left."""
        gone = "RUN_PACKAGES=liburing-dev=nothing/of/this/kind.h"
        flags = (gone, "PEERS=", "HOSTS_PACKAGES=", "run-nobody")
        before = self.make("NEED_iouring=", *flags).stderr
        self.assertRegex(before, "select epoll .*iouring")
        words = self.make(*flags)
        self.assertIn("SKIP iouring: liburing-dev is missing", words.stdout)
        self.assertNotIn("iouring", words.stderr)
        path = self.tree / "Makefile"
        text = path.read_text("utf-8")
        level = "epoll:level:level"
        added = text.replace(level, f"{level} epoll:other:readiness")
        self.assertNotEqual(added, text)
        path.write_text(added, "utf-8")
        one = ("NEED_iouring=", "NEED_epoll-other=liburing-dev")
        words = self.make(*one, *flags)
        self.assertIn("SKIP epoll-other: liburing-dev is missing", words.stdout)
        self.assertRegex(words.stderr, "select epoll .*iouring")
        self.assertIn("epoll-level", words.stderr)
        self.assertNotIn("epoll-other", words.stderr)
        one = ("NEED_iouring=", "NEED_iouring-completion=liburing-dev")
        words = self.make(*one, *flags)
        self.assertIn("SKIP iouring", words.stdout)

    def test_without_libaio_the_rest_is_built(self):
        gone = "RUN_PACKAGES=libaio-dev=nothing/of/this/kind.h"
        words = self.make(gone, "PEERS=", "HOSTS_PACKAGES=", "run-nobody")
        self.assertRegex(
            words.stdout, r"SKIP aio(-libaio)?: libaio-dev is missing"
        )
        self.assertEqual(words.stdout.count("SKIP"), 1)
        self.assertNotIn("aio-libaio", words.stderr)
        self.assertIn("epoll-level", words.stderr)
        self.assertIn("iouring-multishot", words.stderr)


if __name__ == "__main__":
    unittest.main()
