"""bench/instructions: a poll told from a request, and who is held to what."""

import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import paired  # noqa: E402  (after the line that keeps the tree clean)
from contestants import Failed  # noqa: E402
from test_ends import command_module  # noqa: E402

PROGRAM = pathlib.Path(__file__).resolve().parent / "instructions"
SPINNER = "nonblocking-spin"


program = command_module("instructions")


class Solving(unittest.TestCase):
    def run_of(self, requests, polls):
        return 5_000_000 + 900 * requests + 1_000 * polls, requests, polls

    def test_a_poll_and_a_request_are_told_apart(self):
        request, poll = program.solve(
            self.run_of(1, 10_000), self.run_of(3, 90_000),
            self.run_of(2_001, 30_000),
        )  # fmt: skip
        self.assertAlmostEqual(request, 900)
        self.assertAlmostEqual(poll, 1_000)

    def test_not_where_the_runs_hardly_differ(self):
        same = self.run_of(1, 10_000)
        with self.assertRaisesRegex(Failed, "too short"):
            program.solve(same, same, self.run_of(2_001, 30_000))

    def test_the_polls_are_those_of_the_line_at_the_end(self):
        said = 'a warning\n{"calls":{"recv":12}}\n'
        self.assertEqual(program.polls_of(said, "recv"), 12)
        for said in ("", "{broken", '{"calls":{}}'):
            with self.assertRaisesRegex(Failed, "at its end"):
                program.polls_of(said, "recv")


class Demands(unittest.TestCase):
    def test_are_ratios_to_the_reference(self):
        self.assertTrue(
            program.verdict("select-poll", 1240.0, 1000.0).endswith(
                f"1.24 of epoll-level's, <= 1.25 {paired.HOLDS}"
            )
        )
        self.assertTrue(
            program.verdict("epoll-edge", 1260.0, 1000.0).endswith(paired.FAILS)
        )

    def test_are_made_of_no_others_and_not_without_a_reference(self):
        for name, reference in (("blocking-pool", 1.0), ("epoll-level", 1.0),
                                ("epoll-edge", None)):  # fmt: skip
            self.assertEqual(program.verdict(name, 9.0, reference), "")

    def test_the_reference_is_counted_before_who_is_held_to_it(self):
        self.assertEqual(
            program.reference_first(["b", "epoll-level", "a"]),
            ["epoll-level", "b", "a"],
        )


class Spinning(unittest.TestCase):
    def test_a_spinner_is_told_apart(self):
        if not shutil.which("valgrind"):
            self.skipTest("valgrind is missing")
        done = subprocess.run(
            [PROGRAM, "--servers", SPINNER, "--requests", "500"],
            capture_output=True, encoding="utf-8", timeout=120,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(
            done.stdout,
            rf"{re.escape(SPINNER)} \d+\.\d  and \d+\.\d for each poll "
            r"\(recv\)",
        )


if __name__ == "__main__":
    unittest.main()
