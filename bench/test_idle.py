"""bench/idle and bench/fairness: who has how many idle peers beside it, what is
held to what, and that both run to their end."""

import os
import pathlib
import subprocess
import sys
import unittest
from unittest import mock

sys.dont_write_bytecode = True
import paired  # noqa: E402  (after the line that keeps the tree clean)
import served  # noqa: E402
from contestants import Skipped  # noqa: E402
from test_ends import command_module  # noqa: E402

BENCH = pathlib.Path(__file__).resolve().parent
SERVER = "epoll-level"
idle = command_module("idle")
fairness = command_module("fairness")


def interval(low, high):
    return paired.Estimate((low + high) / 2, low, high, 25)


def run(name, *words):
    """Its exit code and what it printed."""
    done = subprocess.run(
        [BENCH / name, *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout


class Beside(unittest.TestCase):
    def limited(self, limit):
        return mock.patch.object(served, "connections_at_once", lambda _: limit)

    def test_are_as_many_as_wanted_if_it_serves_them(self):
        for limit, expected in ((None, 10_000), (20_000, 10_000), (992, 900)):
            with self.subTest(limit), self.limited(limit):
                self.assertEqual(idle.idle_beside("any", 10_000), expected)

    def test_who_serves_few_at_once_is_left_out(self):
        with self.limited(4), self.assertRaisesRegex(Skipped, "serves 4"):
            idle.idle_beside("any", 10_000)

    def test_a_demand_fails_with_its_whole_interval(self):
        for low, high, said in ((1.0, 1.2, paired.HOLDS),
                                (1.2, 1.3, paired.OPEN),
                                (1.26, 1.3, paired.FAILS)):  # fmt: skip
            found = idle.verdict("epoll-edge", interval(low, high))
            self.assertTrue(found.endswith(said), found)

    def test_no_other_model_is_held_to_it(self):
        self.assertEqual(idle.verdict("select-poll", interval(9, 10)), "")

    def test_ratios_are_of_visits_beside_each_other(self):
        found = {"alone": [1.0, 2.0, 4.0], "beside": [3.0, 6.0, 12.0]}
        self.assertEqual(idle.ratio(found, "beside").median, 3.0)


@unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "two CPUs are needed")
class Runs(unittest.TestCase):
    def test_of_idle_peers(self):
        code, said = run("idle", "--servers", f"{SERVER},blocking-iterative",
                         "--idle", "30", "--pairs", "2",
                         "--requests", "50")  # fmt: skip
        self.assertEqual(code, 0, said)
        self.assertRegex(said, SERVER + r" +30 idle  alone \d")
        self.assertIn("alone against itself", said)
        self.assertIn("SKIP blocking-iterative: it serves 1 at once", said)

    def test_of_a_flood(self):
        code, said = run("fairness", "--rounds", "1", "--seconds", "0.2")
        self.assertEqual(code, 0, said)
        rows = [line.split("  ")[0] for line in said.splitlines()[2:]]
        self.assertEqual(rows, [
            "epoll-level", "epoll-edge --portions 1",
            "epoll-edge --portions 1000000000",
        ])  # fmt: skip


if __name__ == "__main__":
    unittest.main()
