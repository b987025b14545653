"""Runs the tests of one file as a suite beside those of GoogleTest.

    python_suite.py test_make [--gtest_output=xml:FILE]

What it prints and writes has GoogleTest's form, and GTEST_FILTER= chooses among
Class.test_name, so that suites.sh runs both alike and counts each test.
"""

import fnmatch
import os
import sys
import time
import unittest
from xml.sax.saxutils import quoteattr

sys.dont_write_bytecode = True
sys.path[:0] = ["bench", "tests/tools"]


def name_of(test):
    """Class.test_name; of a module or class that was skipped its own words."""
    words = test.id().split(".")
    return ".".join(words[-2:]) if len(words) > 1 else test.id()


def is_wanted(name, text):
    """By GTEST_FILTER=a:b-c:d."""
    wanted, _, unwanted = text.partition("-")

    def among(patterns):
        return any(fnmatch.fnmatchcase(name, p) for p in patterns.split(":"))

    return among(wanted or "*") and not (unwanted and among(unwanted))


def tests_of(suite):
    """One after the other, of suites in suites."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from tests_of(part)
        else:
            yield part


class Result(unittest.TestResult):
    """Tells each test when it has ended."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.began = time.monotonic()

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.failed = False

    def tell(self, mark, test, why=""):
        self.count += 1
        passed_ms = int((time.monotonic() - self.began) * 1000)
        if why:
            print(why.rstrip())
        print(f"[{mark:^10}] {name_of(test)} ({passed_ms} ms)", flush=True)

    def addSuccess(self, test):
        if not self.failed:
            self.tell("      OK", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.tell(" SKIPPED", test, f"{name_of(test)}: {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell(" FAILED", test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.tell(" FAILED", test, self.errors[-1][1])

    # All failures of one test are one; whoever has failed does not succeed.
    def addSubTest(self, test, subtest, err):
        if err is None:
            return
        print(self._exc_info_to_string(err, test).rstrip())
        if not self.failed:
            self.failures.append((test, ""))
            self.tell(" FAILED", test, str(subtest))
        self.failed = True


def main(name, *options):
    """The exit code: 0 if there was a test and none has failed."""
    chosen = os.environ.get("GTEST_FILTER", "")
    suite = unittest.TestSuite(
        test
        for test in tests_of(unittest.defaultTestLoader.loadTestsFromName(name))
        if is_wanted(name_of(test), chosen)
    )
    result = Result()
    suite.run(result)
    failed = len(result.failures) + len(result.errors)
    for option in options:
        if option.startswith("--gtest_output=xml:"):
            with open(option.partition(":")[2], "w", encoding="utf-8") as file:
                file.write(
                    f"<testsuites>\n<testsuite name={quoteattr(name)} "
                    f'tests="{result.count}" failures="{failed}" '
                    f'skipped="{len(result.skipped)}" />\n</testsuites>\n'
                )
    return 1 if failed or result.count == 0 and not chosen else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
