"""What bench/compare concludes and in what order it measures: with answers
known beforehand, without a server, a load or a clock."""

import collections
import dataclasses
import io
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

sys.dont_write_bytecode = True
import atomic  # noqa: E402  (after the line that keeps the tree clean)
import comparison  # noqa: E402
import contestants  # noqa: E402
import journal  # noqa: E402
import load_run  # noqa: E402
import measure  # noqa: E402
import observe  # noqa: E402
import progress  # noqa: E402
import racing  # noqa: E402
import readme  # noqa: E402
import results  # noqa: E402
import saturation  # noqa: E402
import scenarios  # noqa: E402
import placement  # noqa: E402
import served  # noqa: E402
import sweep  # noqa: E402
import table  # noqa: E402
import tests_of_load  # noqa: E402
import verdicts  # noqa: E402
from plan import Plan, spell_seconds  # noqa: E402
from sizes import SIZES  # noqa: E402

ONE, OTHER = "epoll-level", "iouring-multishot"
AGAIN = ONE + " again"
PLAN = Plan((ONE, OTHER), ("S2",), blocks=7, seconds=2.0, seed=1, visits=2)
AT_RATE = "S2@1000"


def at(*scenarios_there):
    return dataclasses.replace(PLAN, scenarios=scenarios_there)


def plan_line(plan=PLAN):
    return {
        "kind": journal.PLAN,
        "plan": plan.to_json(),
        "placement": "server on CPU 0, load on 1",
        "programs": {},
        "commit": "abc123",
        "machine": {"processors": 2, "processor": "a CPU", "kernel": "6.1"},
    }


def cell_line(cell, rate=1000.0, cpu=10.0, **more):
    latencies = dict.fromkeys(("p50", "p90", "p99", "p99.9", "max"), 500.0)
    return {
        "kind": journal.CELL,
        "block": cell.block,
        "visit": cell.visit,
        "scenario": cell.scenario,
        "contestant": cell.contestant.label,
        "verdict": "VALID",
        "reason": "",
        "errors": 0,
        "first_error": "",
        "rate": rate,
        "requests": 2 * rate,
        "latency_us": latencies,
        "server_cpu_us": cpu,
        "machine_cpu_us": 2 * cpu,
        "served_per_s": rate,
        "calls_per_request": {"recv": 1.0, "epoll_wait": 0.5, "brk": 0.001},
        "switches_per_s": {"voluntary": 100.0, "involuntary": 10.0},
        "threads": 2,
        "memory": {"before": None, "measuring": None},
        "peak_bytes": 10 << 20,
        "spent_s": {"at": 2.0, "server": 0.001, "stolen": 0.1},
        **more,
    }


def lines_of(plan, make):
    """A journal's lines: `make(cell)` returns what cell_line() is given, or
    None for a cell that is not there."""
    lines = [plan_line(plan)]
    for cell in plan.cells():
        fields = make(cell)
        if fields is not None:
            lines.append(cell_line(cell, **fields))
    return [json.loads(json.dumps(line)) for line in lines]


class Verdicts(unittest.TestCase):
    """Whole runs, made up: what the tables would say of them."""

    def run_with(self, fields, plan=PLAN):
        """A run in which the other contestant has these."""

        def make(cell):
            return fields if cell.contestant.name == OTHER else {}

        return results.Results(lines_of(plan, make))

    def test_a_broken_off_run_says_that_it_is_too_short(self):
        def make(cell):
            return {"rate": 2e4} if cell.block < 2 else None

        run = results.Results(lines_of(PLAN, make))
        self.assertEqual(run.verdict("S2", OTHER, "rate"), verdicts.TOO_FEW)
        self.assertEqual(run.verdict("S2", AGAIN, "rate"), verdicts.TOO_FEW)

    def test_reference_and_twin_are_not_ranked(self):
        run = self.run_with({})
        self.assertEqual(run.verdict("S2", ONE, "rate"), "reference")
        self.assertEqual(run.verdict("S2", AGAIN, "rate"), "the noise floor")
        self.assertIsNone(run.ratio("S2", ONE, "rate"))

    def test_a_cell_is_compared_with_its_neighbours_only(self):
        # A machine that gets slower by half from each visit to the next.
        def make(cell):
            slower = 1.5 ** (2 * cell.block + cell.visit)
            faster = 1.2 if cell.contestant.name == OTHER else 1.0
            return {"rate": 1e6 / slower * faster}

        run = results.Results(lines_of(PLAN, make))
        self.assertAlmostEqual(run.ratio("S2", OTHER, "rate").low, 1.2)

    def test_more_cpu_is_dearer(self):
        run = self.run_with({"cpu": 20.0}, at(AT_RATE, "S1"))
        for scenario in (AT_RATE, "S1"):
            self.assertEqual(run.verdict(scenario, OTHER, "cpu"), "dearer")
            found = run.ratio(scenario, OTHER, "cpu").factor
            self.assertAlmostEqual(found, 2)

    def test_cpu_and_latency_are_judged_at_equal_rates_alone(self):
        """A request costs less where many come at once."""
        run = self.run_with({"cpu": 20.0, "rate": 2000.0}, at("S2", "S5"))
        for scenario in ("S2", "S5"):
            self.assertEqual(run.verdict(scenario, OTHER, "rate"), "faster")
            for metric in ("cpu", "p99", "calls"):
                found = run.verdict(scenario, OTHER, metric)
                self.assertEqual(found, results.NOT_EQUAL)

    def test_who_does_not_keep_the_rate_is_not_compared_by_cpu(self):
        run = self.run_with({"rate": 900.0, "cpu": 20.0}, at(AT_RATE))
        found = run.verdict(AT_RATE, OTHER, "cpu")
        self.assertEqual(found, results.NOT_KEPT)

    def test_are_corrected_for_how_many_a_table_has(self):
        """What two would be told apart by is not enough among eleven."""

        def verdict_of(count):
            names = (ONE, OTHER, *(f"m{k}" for k in range(count)))

            def make(cell):
                stray = 1.03 ** (cell.block % 3 - 1 + cell.visit % 2)
                if cell.contestant.name == ONE:
                    stray = 1.0
                more = 1.03 if cell.contestant.name == OTHER else 1.0
                return {"rate": 1000.0 * stray * more}

            plan = Plan(names, ("S2",), 7, 2.0, 1)
            run = results.Results(lines_of(plan, make))
            self.assertEqual(run.verdict_count("S2", "rate"), count + 1)
            return run.verdict("S2", OTHER, "rate")

        self.assertEqual(verdict_of(0), "faster")
        self.assertEqual(verdict_of(10), verdicts.SAME)

    def test_of_two_others_are_a_family_of_their_own(self):
        rates = {ONE: 1000.0, OTHER: 2000.0, "redis": 500.0}

        def make(cell):
            return {"rate": rates[cell.contestant.name]}

        run = results.Results(lines_of(Plan(tuple(rates), ("S2",), 7, 2.0, 1),
                                       make))  # fmt: skip
        for one, other, times in ((OTHER, "redis", 4), ("redis", OTHER, 1 / 4),
                                  (ONE, OTHER, 1 / 2), (OTHER, ONE, 2)):
            found = run.between("S2", one, other, "rate")
            self.assertAlmostEqual(found.factor, times)
            word = verdicts.MORE if times > 1 else verdicts.LESS
            self.assertEqual(run.compared("S2", one, other, "rate"), word)

    def test_zero_is_a_number(self):
        """A server may make no call at all, and rest without a wake-up."""
        none = {"calls_per_request": {"epoll_wait": 0.0},
                "switches_per_s": {"voluntary": 0.0, "involuntary": 0.0},
                "cpu": 0.0}  # fmt: skip
        run = self.run_with(none, at(AT_RATE))
        for metric in ("calls", "switches", "cpu"):
            self.assertEqual(run.median(AT_RATE, OTHER, metric).value, 0)
            found = run.verdict(AT_RATE, OTHER, metric)
            self.assertEqual(found, verdicts.NONE_OF_IT)
        ratio = run.ratio(AT_RATE, OTHER, "calls")
        self.assertEqual(table.ratio_text(ratio), "0 against 1.5")
        row = [x for x in table.render(run) if x.startswith(OTHER)][0]
        self.assertIn(" 0.00 ", row)

    def test_a_floor_is_of_all_scenarios(self):
        def make(cell):
            twin = cell.contestant.label == AGAIN
            stray = 1.1 if twin and cell.scenario == "S5" else 1.0
            return {"rate": 1000.0 * stray}

        run = results.Results(lines_of(at("S2", "S5"), make))
        self.assertEqual(run.floor("rate").count, 14)
        self.assertAlmostEqual(run.floor("rate").middle, math.log(1.1) / 2)

    def test_one_of_the_references_two_is_enough(self):
        """In none of seven blocks were both VALID."""

        def make(cell):
            late = (ONE, AGAIN)[cell.block % 2] == cell.contestant.label
            if cell.contestant.name == OTHER:
                return {"rate": 2000.0}
            return {"verdict": "INVALID", "reason": "late"} if late else {}

        run = results.Results(lines_of(PLAN, make))
        self.assertEqual(run.ratio("S2", OTHER, "rate").count, 7)
        self.assertEqual(run.verdict("S2", OTHER, "rate"), "faster")


class Bounds(unittest.TestCase):
    """A load that was what limited."""

    def run_with(self, *labels, rate=150e3, **more):
        """These were limited; all others answered 100 000 a second."""
        fields = {"verdict": "INVALID", "rate": rate,
                  "reason": "the generator took 99 % of a CPU"} | more

        def make(cell):
            mine = cell.contestant.label in labels
            return fields if mine else {"rate": 100e3}

        return results.Results(lines_of(PLAN, make))

    def test_decide_where_they_suffice(self):
        run = self.run_with(OTHER)
        self.assertEqual(run.verdict("S2", OTHER, "rate"), "faster")
        self.assertEqual(run.ratio("S2", OTHER, "rate").count, 7)
        run = self.run_with(ONE, AGAIN)
        self.assertEqual(run.verdict("S2", OTHER, "rate"), "slower")
        run = self.run_with(OTHER, rate=50e3)
        self.assertEqual(run.verdict("S2", OTHER, "rate"), verdicts.ONE_BOUND)

    def test_of_both_say_so(self):
        run = self.run_with(ONE, AGAIN, OTHER)
        self.assertEqual(run.verdict("S2", OTHER, "rate"), verdicts.BOTH_BOUNDS)
        text = " ".join(table.render(run))
        self.assertIn("open: both are lower bounds", text)

    def test_are_marked_in_every_table(self):
        run = self.run_with(OTHER)
        self.assertEqual(run.median("S2", OTHER, "rate"), (150e3, False, True))
        self.assertIn(">= 150000", " ".join(table.render(run)))
        text = "\n".join(readme.markdown(run, "x"))
        self.assertIn(f"| `{OTHER}` | 14 | >= 150000 | ~500 |", text)
        self.assertIn(">=1.500 [1.500 ..] | faster", text)

    def test_are_what_the_load_says(self):
        for limit, bound in (("load", True), ("schedule", True), (None, False)):
            line = {"scenario": "S2", "load": {"limited_by": limit},
                    "verdict": "VALID", "errors": 0, "rate": 1.0}
            found = results.reading(line, "rate")
            self.assertEqual(found, verdicts.Reading(1.0, bound))

    def test_of_older_loads_are_told_by_their_verdicts(self):
        line = {"scenario": "S2", "verdict": "VALID", "errors": 0, "rate": 9e3}
        held = {"verdict": "INVALID", "reason": "the generator took 99 %"}
        silent = {"verdict": "INVALID", "reason": "the server was silent"}
        kept = {"scenario": "S2@9000"}
        for fields, limit in (({}, None), (held, "load"), (silent, None),
                              (kept, "schedule"),
                              (kept | {"rate": 8e3}, None)):  # fmt: skip
            self.assertEqual(results.limited_by(line | fields), limit)

    def median_where(self, is_fast):
        """Where those cells have a bound that is above the others' rate."""

        def make(cell):
            bound = {"load": {"limited_by": "load"}, "rate": 200e3}
            return bound if is_fast(cell) else {"rate": 100e3}

        run = results.Results(lines_of(PLAN, make))
        return run.median("S2", OTHER, "rate")

    def test_a_median_below_them_is_exact(self):
        found = self.median_where(lambda cell: cell.block > 4)
        self.assertEqual((found.value, found.bound), (100e3, False))

    def test_a_median_that_one_of_them_is_half_of_is_one(self):
        found = self.median_where(lambda cell: cell.visit)
        self.assertEqual((found.value, found.bound), (150e3, True))

    def test_a_searched_rate_is_none(self):
        plan = dataclasses.replace(PLAN, bound_us=1000.0)
        limited = {"load": {"limited_by": "schedule"}}
        run = results.Results(lines_of(plan, lambda cell: limited))
        self.assertFalse(run.median("S2", OTHER, "rate").bound)

    def test_capacity_is_of_what_a_request_costs_at_an_equal_rate(self):
        run = results.Results(lines_of(at("S2", AT_RATE), lambda cell: {}))
        found = run.per_cpu_second(AT_RATE, OTHER)
        self.assertEqual(found, (100e3, False, False))
        self.assertIsNone(run.per_cpu_second("S2", OTHER).value)

    def test_capacity_is_marked_where_the_rate_was_not_kept(self):
        """What a request costs then is of another rate."""
        slow = {"rate": 500.0, "load": {"limited_by": None}}
        run = results.Results(lines_of(at(AT_RATE), lambda cell: slow))
        self.assertTrue(run.per_cpu_second(AT_RATE, OTHER).invalid)
        self.assertIn(" ~100000 ", "\n".join(table.render(run)))


class Clients(unittest.TestCase):
    """In S11 the load is what is compared."""

    def test_are_exact_where_they_limit_and_bounds_where_they_do_not(self):
        for limit, bound in (("load", False), (None, True)):
            line = {"scenario": "S11", "load": {"limited_by": limit},
                    "verdict": "INVALID", "errors": 0, "rate": 1.0}
            found = results.reading(line, "rate")
            self.assertEqual(found, verdicts.Reading(1.0, bound))

    def test_cost_their_own_cpu(self):
        line = {"scenario": "S1", "load": {"cpu_us_per_request": 7.0},
                "verdict": "VALID", "errors": 0, "server_cpu_us": 9.0}
        self.assertEqual(results.value(line, "cpu"), 9.0)
        self.assertEqual(results.value(line | {"clients": True}, "cpu"), 7.0)

    def test_wait_awake_on_a_schedule_so_that_has_no_cost(self):
        load = {"cpu_us_per_request": 7.0, "offered": 1000.0}
        line = {"scenario": "S11@1000", "load": load, "clients": True,
                "verdict": "VALID", "errors": 0, "server_cpu_us": 9.0}
        self.assertIsNone(results.value(line, "cpu"))


class TestsOfTheLoad(unittest.TestCase):
    def said(self, scenario="S2", **rates):
        """`null` and `doubled` are what these cells came to."""
        lines = lines_of(at(scenario), lambda cell: {})
        cell = at(scenario).cells()[0]
        labels = {"null": "bare-echo null", "doubled": f"{ONE} doubled"}
        for name, rate in rates.items():
            line = cell_line(cell, rate=rate)
            lines.append(line | {"contestant": labels[name]})
        run = results.Results(lines)
        self.assertNotIn(" null", "".join(table.labels(run, scenario)))
        return " ".join(tests_of_load.sentences(run, scenario))

    def test_a_load_that_drives_more_is_not_what_limits(self):
        said = self.said(null=1600.0)
        self.assertIn("1.60 times what the fastest server took", said)
        self.assertIn("it is not what limits them", said)

    def test_of_one_that_does_not_it_is_said_what_cannot_be_known(self):
        said = self.said(null=1200.0)
        self.assertIn("how much faster than 800 a second a server is cannot be "
                      "known", said)  # fmt: skip

    def test_at_an_equal_rate_it_is_the_part_of_a_latency(self):
        said = self.said(AT_RATE, null=1000.0)
        self.assertIn("a bare echo's p99 is 500 us, against 500 us", said)

    def test_twice_as_many_who_ask_change_nothing_or_something(self):
        self.assertIn("less than 3%", self.said(doubled=1020.0))
        self.assertIn("more than 3%", self.said(doubled=1100.0))

    def test_without_them_nothing_is_said(self):
        self.assertEqual(self.said(), "")


class LeftOut(unittest.TestCase):
    def run_with(self, label, fields, blocks=3, plan=PLAN):
        def make(cell):
            mine = cell.contestant.label == label and cell.block < blocks
            return fields if mine else {}

        return results.Results(lines_of(plan, make))

    def test_invalid_cells_are_counted_and_not_in_the_ratios(self):
        invalid = {"verdict": "INVALID", "reason": "late", "rate": 1.0}
        run = self.run_with(OTHER, invalid)
        self.assertAlmostEqual(run.ratio("S2", OTHER, "rate").factor, 1)
        self.assertEqual(run.ratio("S2", OTHER, "rate").count, 4)
        self.assertEqual(run.left_out("S2", OTHER), (6, 14, "INVALID: late"))
        self.assertEqual(run.faults(), {})

    def test_their_cpu_time_is(self):
        late = {"verdict": "INVALID", "reason": "late"}
        run = self.run_with(OTHER, late, plan=at(AT_RATE))
        self.assertEqual(run.ratio(AT_RATE, OTHER, "cpu").count, 7)

    def test_without_a_valid_reference_there_is_no_ratio(self):
        def make(cell):
            mine = cell.contestant.name == ONE
            return {"verdict": "INVALID"} if mine else {}

        run = results.Results(lines_of(PLAN, make))
        self.assertIsNone(run.ratio("S2", OTHER, "rate"))
        said = run.verdict("S2", OTHER, "rate")
        self.assertEqual(said, results.NO_PAIRS)
        self.assertEqual(run.median("S2", ONE, "rate"), (1000.0, True, False))

    def test_who_answers_wrongly_is_convicted(self):
        wrong = {"errors": 1, "first_error": "another's bytes"}
        run = self.run_with(OTHER, wrong, blocks=1, plan=at(AT_RATE))
        self.assertEqual(list(run.faults()), [(AT_RATE, OTHER)])
        word, why = run.faults()[AT_RATE, OTHER]
        self.assertEqual(word, results.CONVICTED)
        self.assertIn("another's bytes", why)
        self.assertEqual(run.ratio(AT_RATE, OTHER, "cpu").count, 6)

    def test_who_fails_is_named_and_who_is_skipped_is_no_failure(self):
        cell = PLAN.cells()[0]
        there = ("kind", "block", "visit", "scenario", "contestant")
        bare = {name: cell_line(cell)[name] for name in there}
        failed = results.Results([plan_line(), bare | {"failed": "it died"}])
        said = [(results.FAILED, "it died")]
        self.assertEqual(list(failed.faults().values()), said)
        skipped = results.Results([plan_line(), bare | {"skipped": "no DHT"}])
        self.assertEqual(skipped.faults(), {})
        for run in (failed, skipped):
            self.assertTrue(table.render(run))


class Memory(unittest.TestCase):
    def test_is_the_slope_between_the_two_largest_sizes(self):
        plan = Plan((ONE,), ("S3-10", "S3-1000", "S3-10000"), 3, 1.0, 1)

        def make(cell):
            count = scenarios.find(cell.scenario).idle
            noise = cell.block - 1
            own = {"own": 7000, "kernel": 10**6}
            grown = {"own": 7000 + 5000 + 300 * count + noise,
                     "kernel": 10**6 + 4000 * count}  # fmt: skip
            return {"memory": {"before": own, "measuring": grown}}

        run = results.Results(lines_of(plan, make))
        self.assertAlmostEqual(run.bytes_per_idle(ONE, "own"), 300, places=3)
        self.assertAlmostEqual(run.bytes_per_idle(ONE, "kernel"), 4000)
        self.assertTrue(any("300" in line for line in table.render(run)))

    def test_that_did_not_grow_is_a_page(self):
        for grown, expected in ((-500, 4096), (0, 4096), (9000, 9000)):
            line = {"verdict": "VALID", "errors": 0, "memory": {
                "before": {"own": 7000}, "measuring": {"own": 7000 + grown},
            }}  # fmt: skip
            found = results.value(line, results.MEMORY)
            self.assertEqual(found, expected)

    def test_is_known_at_a_rate_and_where_one_size_was_measured_once(self):
        plan = Plan((ONE,), ("S3-10@100", "S3-1010@100"), 3, 1.0, 1)

        def make(cell):
            count = scenarios.find(cell.scenario).idle
            if count == 10 and cell.block:
                return None
            own = {"own": 5000 + 300 * count, "kernel": 0}
            return {"memory": {"before": {"own": 0}, "measuring": own}}

        run = results.Results(lines_of(plan, make))
        self.assertAlmostEqual(run.bytes_per_idle(ONE, "own"), 300)

    def test_needs_two_sizes(self):
        plan = Plan((ONE,), ("S3-10", "S2"), 3, 1.0, 1)
        run = results.Results(lines_of(plan, lambda cell: {}))
        self.assertIsNone(run.bytes_per_idle(ONE, "own"))


class SlowReaders(unittest.TestCase):
    def test_that_were_ended_are_told_of(self):
        def make(cell):
            ended = 3 if cell.contestant.name == OTHER and cell.block else 0
            return {"load": {"slow_ended": ended}}

        lines = table.render(results.Results(lines_of(PLAN, make)))
        told = [line for line in lines if "slow readers" in line]
        self.assertEqual(told, [f"  {OTHER} ended 3 of the slow readers"])


class Length(unittest.TestCase):
    def plan(self, count, **fields):
        names = tuple(f"m{i}" for i in range(count))
        return Plan(names, ("S1", "S2"), 7, 1.0, seed=1, **fields)

    def test_cells_do_not_shrink_as_models_come(self):
        for count in (1, 3, 7, 18):
            found = self.plan(count, once=("S2",)).within(180)
            self.assertEqual(found.seconds, 1.0)
            self.assertGreaterEqual(found.blocks, 7)

    def test_there_are_as_many_blocks_as_there_is_time_for(self):
        for fields in ({}, {"once": ("S2",), "null": True}):
            found = self.plan(5, **fields).within(300)
            each = found.cell_seconds("S1") * 6 * (1 if fields else 2)
            self.assertLessEqual(found.total_seconds, 300)
            self.assertGreater(found.total_seconds, 300 - each)

    def test_of_the_usual_sizes_is_bounded(self):
        with tempfile.TemporaryDirectory() as folder:
            self.addCleanup(setattr, contestants, "BIN", contestants.BIN)
            contestants.BIN = pathlib.Path(folder)
            (contestants.BIN / "bare-echo").touch(0o755)
            for count, word, minutes in (
                (3, "--quick", 3), (7, "--quick", 8), (3, "--full", 27),
                (7, "--full", 36), (3, "--sweep", 9),
            ):  # fmt: skip
                names = [f"m{i}-plain" for i in range(count)]
                environment = {"SERVERS": " ".join(names)}
                with mock.patch.dict("os.environ", environment):
                    plan, seconds = self.planned(word)
                self.assertLessEqual(seconds, 60 * minutes, (count, word))
                self.assertGreaterEqual(plan.blocks, 7, (count, word))
                self.assertEqual(plan.seconds, 1, (count, word))

    def planned(self, *words):
        """The plan, and how long it takes with its rates."""
        options = comparison.make_parser().parse_args(words)
        plan = comparison.make_plan(options)
        wanted = comparison.paces(options), comparison.swept_scenarios(
            options, plan
        )
        return plan, sweep.foreseen(plan, *wanted).total_seconds


class Order(unittest.TestCase):
    def test_repeats_with_its_seed(self):
        again = Plan.from_json(json.loads(json.dumps(PLAN.to_json())))
        self.assertEqual(again, PLAN)
        self.assertEqual(again.cells(), PLAN.cells())
        other = Plan(PLAN.names, PLAN.scenarios, 7, 2.0, seed=2)
        self.assertNotEqual(other.cells(), PLAN.cells())

    def test_visits_everybody_there_and_back(self):
        cells = PLAN.cells()
        self.assertEqual(len(cells), 7 * 2 * 3)
        self.assertEqual(len({cell.key for cell in cells}), len(cells))
        for first in range(0, len(cells), 6):
            labels = [c.contestant.label for c in cells[first : first + 6]]
            self.assertEqual(sorted(labels[:3]), sorted([ONE, AGAIN, OTHER]))
            self.assertEqual(labels[3:], labels[2::-1])

    def test_visits_everybody_once_in_each_block(self):
        plan = Plan((ONE, OTHER), ("S1", "S2"), 7, 1.0, seed=1)
        for block in range(7):
            there = [cell for cell in plan.cells() if cell.block == block]
            for scenario in plan.scenarios:
                labels = [c.contestant.label for c in there
                          if c.scenario == scenario]  # fmt: skip
                self.assertEqual(sorted(labels), sorted([ONE, AGAIN, OTHER]))

    def test_of_a_journal_that_does_not_say_is_there_and_back(self):
        fields = {n: x for n, x in PLAN.to_json().items()
                  if n in ("names", "scenarios", "blocks", "seconds", "seed")}
        self.assertEqual(Plan.from_json(fields), PLAN)

    def test_of_every_stored_journal_can_be_told(self):
        for name in ("quick", "full", "sweep", "aa-1", "aa-2"):
            path = contestants.ROOT / f"docs/results/{name}.jsonl"
            lines, _ = journal.parse(path)
            plan = Plan.from_json(lines[0]["plan"])
            there = {journal.key(line) for line in journal.cells(lines)}
            planned = {cell.key for cell in plan.cells()}
            self.assertEqual(there - planned, set(), name)

    def test_has_null_and_doubled_beside_the_others(self):
        plan = Plan((ONE, OTHER), ("S1", "S2", "S8", "S10", "S2@100"), 2, 1.0,
                    seed=1, null=True)  # fmt: skip
        others = {c.label for c in plan.contestants}
        found = sorted(
            (cell.contestant.label, cell.scenario, cell.block)
            for cell in plan.cells() if cell.contestant.label not in others
        )  # fmt: skip
        self.assertEqual(found, [
            ("bare-echo null", "S1", 0), ("bare-echo null", "S2", 0),
            ("bare-echo null", "S2@100", 0),
            (f"{ONE} doubled", "S2", 0), (f"{ONE} doubled", "S2", 1),
        ])  # fmt: skip

    def test_has_some_scenarios_once_and_no_twin_in_them(self):
        plan = Plan((ONE, OTHER), ("S1", "S2"), 3, 1.0, seed=1, once=("S2",))
        labels = [c.contestant.label for c in plan.cells()
                  if c.scenario == "S2"]  # fmt: skip
        self.assertEqual(sorted(labels), [ONE, OTHER])

    def test_is_shuffled_in_every_block(self):
        orders = {
            tuple(c.contestant.label for c in PLAN.cells()
                  if (c.block, c.visit) == (block, 0))
            for block in range(7)
        }  # fmt: skip
        self.assertGreater(len(orders), 1)

    def test_spells_times(self):
        self.assertEqual(spell_seconds(59.6), "1:00")
        self.assertEqual(spell_seconds(3785), "1:03:05")


class Scenarios(unittest.TestCase):
    def test_a_name_stands_for_all_its_sizes(self):
        sizes = ["S3-10", "S3-1000", "S3-10000"]
        self.assertEqual(scenarios.named(["S3", "S1"]), [*sizes, "S1"])
        self.assertEqual(scenarios.named(["S3-77"]), ["S3-77"])
        self.assertEqual(scenarios.named(["S1", "S1"]), ["S1"])
        with self.assertRaisesRegex(ValueError, "no scenario S12"):
            scenarios.named(["S12"])

    def test_fits_into_the_descriptors(self):
        self.assertEqual(scenarios.within("S3-10000", 20_000), "S3-10000")
        self.assertEqual(scenarios.within("S3-10000", 4096), "S3-4022")
        self.assertEqual(scenarios.find("S3-4022").peers + 64, 4096)
        self.assertEqual(scenarios.within("S2", 1024), "S2")

    def test_are_arguments_of_the_load(self):
        words = scenarios.find("S3-1000").arguments(2.0, seed=7)
        pairs = dict(zip(words[::2], words[1::2]))
        self.assertEqual(pairs, {
            "--connections": "10", "--depth": "1", "--idle": "1000",
            "--command": "ECHO {32}", "--duration": "2.0", "--seed": "7",
            "--warmup": "0.25",
        })  # fmt: skip
        words = scenarios.find("S2").arguments(600.0, seed=7)
        self.assertEqual(words[words.index("--warmup") + 1], "0.2")
        scheduled = scenarios.find("S2").arguments(2.0, 7, rate=500.0)
        self.assertIn("--rate", scheduled)
        self.assertNotIn("--depth", scheduled)

    def test_count_their_connections(self):
        self.assertEqual(scenarios.find("S9").peers, 100)
        self.assertEqual(scenarios.find("S7").peers, 100)
        self.assertEqual(scenarios.find("S3-10").peers, 20)

    def test_some_have_no_schedule(self):
        everything = scenarios.SCENARIOS.values()
        without = [s.name for s in everything if not s.takes_rate]
        self.assertEqual(without, ["S4", "S5", "S6", "S10"])


class Rates(unittest.TestCase):
    """Contestants that keep so much; a load that gives out above `limit`."""

    QUICK = SIZES["quick"]

    def find(self, kept, paces, swept=(), limit=math.inf, plan=None):
        plan = plan or Plan(tuple(kept), ("S2",), 7, 1.0, 1, once=("S2",))
        self.asked = []

        def measured(cell, plan):
            offered = scenarios.find(cell.scenario).rate
            self.asked.append((cell.scenario, cell.contestant.label,
                               plan.seconds))  # fmt: skip
            most = kept[cell.contestant.name]
            if most is None:
                return {"skipped": "it cannot"}
            late = offered and offered > limit
            return {
                "verdict": "INVALID" if late else "VALID", "errors": 0,
                "rate": min(most, offered or math.inf),
                "reason": "late" if late else "", "first_error": "",
            }  # fmt: skip

        return sweep.find(plan, paces, swept, measured)

    def quick(self, **kept):
        kept = {name.replace("_", "-"): rate for name, rate in kept.items()}
        return self.find(kept, self.QUICK.paces)

    def test_are_the_usual_ones_where_everybody_keeps_twice_as_many(self):
        found = self.quick(epoll_level=90_000, slow=50_000)
        self.assertEqual(found.plan.scenarios, (
            "S2", "S2@10000", "S2@25000", "S3-900@10000",
        ))  # fmt: skip
        self.assertIn("slow, keeps 50000 a second; asked at 10000 and 25000",
                      found.why[0])  # fmt: skip

    def test_are_at_most_half_of_what_the_slowest_keeps(self):
        found = self.quick(epoll_level=90_000, slow=13_100, absent=None)
        self.assertEqual(found.plan.scenarios[1:4],
                         ("S2@2600", "S2@6500", "S3-900@6500"))  # fmt: skip
        self.assertIn("half of it is less than 25000", found.why[0])

    def test_are_high_enough_for_a_p99(self):
        for slowest, rates in (
            (5_000, (1_500, 2_500)), (2_000, (1_500,)), (1, (1_500,)),
        ):  # fmt: skip
            found = sweep.affordable((10_000, 25_000), slowest)
            self.assertEqual(found, rates)
        self.assertEqual(sweep.affordable((100,), 50), (100,))

    def test_of_who_keeps_too_little_it_is_tried_again(self):
        self.quick(epoll_level=90_000, slow=13_000)
        counts = collections.Counter(name for _, name, _ in self.asked)
        self.assertEqual(counts, {"epoll-level": 2, "slow": 4})

    def test_what_was_measured_for_them_is_a_cell_of_the_plan(self):
        found = self.quick(epoll_level=90_000, slow=60_000)
        self.assertEqual([cell.key for cell, _ in found.cells],
                         [(0, 0, "S2", "epoll-level"), (0, 0, "S2", "slow")])
        planned = {cell.key for cell in found.plan.cells()}
        self.assertLessEqual({cell.key for cell, _ in found.cells}, planned)
        seconds = {(name, s) for name, _, s in self.asked}
        self.assertEqual(seconds,
                         {("S2", 1.0), ("S3-900", sweep.PROBE_SECONDS)})

    def test_are_none_where_nobody_answers(self):
        found = self.quick(one=None, other=None)
        self.assertEqual(found.plan.scenarios, ("S2",))
        self.assertIn("nobody answers", found.why[0])

    def test_of_a_sweep_end_where_the_load_does(self):
        """Whatever it answers in a closed loop, where it waits for nobody."""
        kept = {"epoll-level": 100_000}
        found = self.find(kept, (), ("S2",), limit=60_000)
        self.assertEqual(found.plan.scenarios[1:], (
            "S2@5500", "S2@13000", "S2@27000", "S2@41000", "S2@55000",
        ))  # fmt: skip
        self.assertIn("the load keeps 55000 by a schedule", found.why[0])

    def test_of_a_sweep_go_beyond_the_peak_where_the_load_can(self):
        found = self.find({"epoll-level": 10_000}, (), ("S2",))
        self.assertEqual(found.plan.scenarios[-1], "S2@12000")

    def test_of_a_sweep_are_not_those_that_are_asked_anyway(self):
        kept = {"epoll-level": 80_000}
        paces = self.QUICK.paces[:1]
        found = self.find(kept, paces, ("S2",), limit=45_000)
        self.assertEqual(found.plan.scenarios[1:], (
            "S2@10000", "S2@25000", "S2@4400", "S2@33000", "S2@44000",
        ))  # fmt: skip

    def test_are_of_two_digits_and_never_above_what_is_kept(self):
        for rate, found in ((97351, 97000), (999, 990), (10, 10), (0.3, 1)):
            self.assertEqual(sweep.rounded(rate), found)

    def test_are_foreseen_in_their_number(self):
        plan = Plan(("epoll-level", "other"), ("S2",), 7, 1.0, 1)
        kept = dict.fromkeys(plan.names, 12_345)
        for paces, swept in ((self.QUICK.paces, ()), ((), ("S2",))):
            found = self.find(kept, paces, swept, plan=plan)
            planned = sweep.foreseen(plan, paces, swept)
            self.assertEqual(
                len(planned.cells()), len(found.plan.cells())
            )

    def test_need_a_reference_for_a_sweep(self):
        with self.assertRaisesRegex(contestants.Failed, "no peak in S2: it"):
            self.find({"epoll-level": None, "other": 9}, (), ("S2",))


def cores(text):
    """What tells the siblings of a CPU, of "0,1 2,3"."""
    groups = [frozenset(map(int, core.split(","))) for core in text.split()]
    return lambda cpu: next(core for core in groups if cpu in core)


class Places(unittest.TestCase):
    PLAIN_8 = "0 1 2 3 4 5 6 7"
    CORES_8 = "0,4 1,5 2,6 3,7"
    CORES_16 = "0,8 1,9 2,10 3,11 4,12 5,13 6,14 7,15"

    def placed(self, text, **more):
        """(server, load, harness, asking threads), None for any CPU."""
        allowed = {int(n) for n in text.replace(",", " ").split()}
        found = placement.place(allowed, cores(text), **more)
        whose = [found.server, found.load, found.own]
        return *(cpus and sorted(cpus) for cpus in whose), found.load_threads

    def test_with_one_processor_are_nobodys(self):
        self.assertEqual(self.placed("0"), (None, None, None, 1))

    def test_with_two_leave_none_for_the_harness(self):
        for text in ("0 1", "0,1"):
            self.assertEqual(self.placed(text), ([0], [1], None, 1))

    def test_with_four_and_more_let_the_load_ask_from_two(self):
        for text, load, own in (
            ("0 1 2 3", [1, 2], [3]),
            ("0,1 2,3", [2, 3], [1]),
            (self.PLAIN_8, [1, 2], [3]),
            (self.CORES_8, [1, 2], [3]),
            (self.CORES_16, [1, 2], [3]),
        ):
            self.assertEqual(self.placed(text), ([0], load, own, 2), text)

    def test_of_a_server_with_threads_are_as_many_and_twice_for_the_load(self):
        for text, server, load, own in (
            (self.PLAIN_8, [0, 1], [2, 3, 4, 5], [6]),
            # What shares a core with the server works for nobody.
            (self.CORES_8, [0, 1], [2, 3, 6, 7], [4]),
            (self.CORES_16, [0, 1], [2, 3, 4, 5], [6]),
            ("0 1", [0], [1], None),
        ):
            found = self.placed(text, server_threads=2)
            self.assertEqual(found, (server, load, own, len(load)), text)

    def test_take_as_many_threads_as_is_said(self):
        found = self.placed(self.CORES_16, load_threads=5)
        self.assertEqual(found, ([0], [1, 2, 3, 4, 5], [6], 5))
        self.assertEqual(self.placed("0 1", load_threads=3),
                         ([0], [1], None, 3))  # fmt: skip

    def test_share_no_processor(self):
        for text in ("0 1 2", self.PLAIN_8, self.CORES_8, self.CORES_16):
            for threads in (1, 2, 4, 16):
                server, load, own, _ = self.placed(text, server_threads=threads)
                together = [*server, *load, *(own or ())]
                self.assertEqual(len(together), len(set(together)), text)

    def test_say_what_cannot_be_known(self):
        doubts = {
            text: placement.place(set(range(count)), cores(text)).doubt
            for text, count in (("0", 1), ("0 1", 2), ("0 1 2 3", 4))
        }
        self.assertEqual(doubts["0 1 2 3"], "")
        for text in ("0", "0 1"):
            self.assertIn("a lower bound (>=)", doubts[text])
        self.assertIn("share their CPUs", doubts["0"])
        self.assertIn("no more CPUs than the server", doubts["0 1"])
        # More threads on as many CPUs ask for no more.
        crowd = placement.place({0, 1}, cores("0 1"), load_threads=4)
        self.assertEqual(crowd.doubt, doubts["0 1"])

    def test_are_printed(self):
        found = placement.place(set(range(4)), cores("0 1 2 3"))
        self.assertEqual(
            str(found), "server on CPU 0, load on 1, 2 (2 threads), "
            "harness on 3",
        )  # fmt: skip


class Saturation(unittest.TestCase):
    """A server whose p99 grows as a queue's does, up to what it can do."""

    def server(self, capacity, base_us=100.0):
        self.offered = []

        def run(rate):
            self.offered.append(rate)
            room = 1 - rate / capacity
            p99 = base_us / room if room > 0 else 1e9
            answered = min(rate, capacity)
            return {
                "verdict": "VALID", "reason": "", "errors": 0,
                "requests": answered, "unanswered": rate - answered,
                "rate": answered, "latency_us": {"p99": p99},
            }  # fmt: skip

        return run

    def search(self, run, bound_us=1_000):
        return saturation.search(run, 2.0, bound_us)

    def test_finds_where_the_p99_reaches_the_bound(self):
        # 100 us / (1 - load) is 1 000 us at 90 % of the capacity.
        for capacity in (2_000, 123_456, 900_000):
            found = self.search(self.server(capacity))
            self.assertLessEqual(found.rate, 0.9 * capacity)
            self.assertGreater(found.rate * saturation.PRECISION,
                               0.9 * capacity)  # fmt: skip
            self.assertLess(len(self.offered), 20)

    def test_says_so_if_no_rate_stands(self):
        run = self.server(1e6, base_us=5_000)
        judged = self.search(run).judge(run(1_000), 1_000)
        self.assertEqual(judged["verdict"], "INVALID")
        self.assertIn("not even 1000 a second stand", judged["reason"])

    def test_says_so_if_every_rate_stands(self):
        run = self.server(1e9)
        judged = self.search(run).judge(run(1_000), 1_000)
        self.assertEqual(judged["verdict"], "INVALID")
        self.assertIn("stand, and more is not tried", judged["reason"])

    def test_tries_again_when_the_load_was_held_up(self):
        run = self.server(123_456)

        def disturbed(rate):
            held_up = rate not in self.offered
            return run(rate) | ({"verdict": "INVALID"} if held_up else {})

        found = self.search(disturbed)
        self.assertEqual(found.rate, self.search(self.server(123_456)).rate)

    def test_counts_what_was_achieved_and_errors(self):
        good = self.server(1e6)(1_000.0)
        self.assertTrue(saturation.stands(good, 1_000))
        self.assertTrue(saturation.stands(good | {"unanswered": 9}, 1_000))
        for spoilt in ({"unanswered": 20}, {"errors": 1},
                       {"verdict": "INVALID"},
                       {"latency_us": {"p99": None}}):  # fmt: skip
            self.assertFalse(saturation.stands(good | spoilt, 1_000))

    def test_a_load_that_gives_out_first_is_no_result(self):
        run = self.server(1e6)

        def limited(rate):
            spoilt = {"verdict": "INVALID", "reason": "99 % of a CPU"}
            return run(rate) | (spoilt if rate > 50_000 else {})

        found = self.search(limited)
        judged = found.judge(limited(found.rate), 1_000)
        self.assertEqual(judged["verdict"], "INVALID")
        self.assertIn("99 % of a CPU", judged["reason"])

    def test_the_rate_has_to_stand_again(self):
        run = self.server(100_000)
        found = self.search(run)
        self.assertNotIn("verdict", found.judge(run(found.rate), 1_000))
        worse = run(found.rate) | {"latency_us": {"p99": 3e3}}
        self.assertEqual(found.judge(worse, 1_000)["verdict"], "INVALID")


class Journals(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "new" / "results.jsonl"

    def write(self, lines):
        there = journal.Journal(self.path, resume=False)
        for line in lines:
            fields = {k: v for k, v in line.items() if k != "kind"}
            there.write(line["kind"], **fields)
        there.close()

    def resume(self):
        there = journal.Journal(self.path, resume=True)
        self.addCleanup(there.close)
        return there

    def test_is_gone_on_with_where_it_ended(self):
        lines = lines_of(PLAN, lambda cell: {})
        self.write(lines[:5])
        there = self.resume()
        self.assertEqual(there.lines, lines[:5])
        self.assertFalse(there.torn)
        there.write(journal.RESUMED)
        self.assertEqual(len(journal.parse(self.path)[0]), 6)
        done = {journal.key(line) for line in journal.cells(there.lines)}
        self.assertEqual(done, {cell.key for cell in PLAN.cells()[:4]})

    def test_a_torn_last_line_is_dropped(self):
        lines = lines_of(PLAN, lambda cell: {})[:3]
        for torn in (b'{"kind": "cell", "blo', b'{"kind": "cell"}', b"\x00\n"):
            self.path.unlink(missing_ok=True)
            self.write(lines)
            with open(self.path, "ab") as file:
                file.write(torn)
            there = self.resume()
            self.assertTrue(there.torn)
            there.write(journal.RESUMED)
            found = journal.parse(self.path)[0]
            self.assertEqual(found, [*lines, {"kind": journal.RESUMED}])

    def test_a_torn_line_stays_until_another_is_written(self):
        self.write([plan_line()])
        with open(self.path, "ab") as file:
            file.write(b"torn")
        self.resume().close()
        self.assertTrue(self.path.read_bytes().endswith(b"torn"))

    def test_is_written_by_one_run_at_a_time(self):
        self.write([plan_line()])
        first = self.resume()
        with self.assertRaisesRegex(journal.Unusable, "another run"):
            journal.Journal(self.path, resume=True)
        first.close()
        self.resume()

    def test_anything_else_is_no_run(self):
        self.write([{"kind": "cell"}])
        with self.assertRaises(journal.Unusable):
            journal.parse(self.path)
        self.path.write_text("broken\n" + json.dumps(plan_line()) + "\n")
        with self.assertRaisesRegex(journal.Unusable, "line 1 is broken"):
            journal.parse(self.path)
        self.path.write_text("")
        with self.assertRaises(journal.Unusable):
            journal.parse(self.path)

    def test_does_not_overwrite(self):
        self.write([plan_line()])
        with self.assertRaises(FileExistsError):
            journal.Journal(self.path, resume=False)


class Tables(unittest.TestCase):
    def setUp(self):
        names = (ONE, OTHER, "/home/me/mine", "redis")
        self.plan = Plan(names, tuple(scenarios.SCENARIOS), 3, 2.0, 1)
        strange = {"rate": 12_345_678.0, "cpu": 0.0001}

        def make(cell):
            if cell.scenario == "S10":
                return {"rate": 0.0}
            return strange if cell.contestant.name == "redis" else {}

        self.run_there = results.Results(lines_of(self.plan, make))

    def test_are_at_most_80_columns_wide(self):
        lines = table.legend(self.run_there) + table.render(self.run_there)
        for line in lines:
            self.assertLessEqual(len(line), 80, line)

    def test_say_their_verdicts_in_words(self):
        def make(cell):
            return {"rate": 50.0} if cell.contestant.name == "redis" else {}

        plan = Plan((ONE, OTHER, "redis"), ("S2",), 5, 2.0, 1)
        run = results.Results(lines_of(plan, make))
        said = list(table.said_of(run, "S2", "rate"))
        self.assertEqual(said, [
            f"  by rate: {OTHER} no measurable difference; redis slower"
        ])  # fmt: skip

    def test_say_what_they_would_find_and_what_is_noise(self):
        def heading_of(step):
            def make(cell):
                strays = cell.contestant.label != ONE
                return {"rate": 1000.0 * step ** (cell.block % 3 * strays)}

            return table.heading(results.Results(lines_of(PLAN, make)), "S2")

        heading = heading_of(1.02)
        self.assertRegex(heading[1], r"itself: .*; in all scenarios 1\.\d+ to 1")
        self.assertRegex(heading[2], r"finds a difference of 1\.\d\d times in ")
        heading = heading_of(30.0)
        self.assertIn("no difference below 10 times", heading[2])

    def test_have_a_row_for_each_contestant_and_scenario(self):
        lines = table.render(self.run_there)
        for scenario in self.plan.scenarios:
            self.assertTrue(any(x.startswith(scenario + ":") for x in lines))
        rows = [line for line in lines if line.startswith("mine ")]
        # Rates and CPU time, but for S10, where there is one table.
        self.assertEqual(len(rows), 2 * len(self.plan.scenarios) - 1)

    def test_numbers_have_three_digits(self):
        known = {0.1234: "0.12", 9.994: "9.99", 12.34: "12.3", 123.4: "123",
                 1234567.8: "1234568", None: "-"}  # fmt: skip
        for value, text in known.items():
            self.assertEqual(table.number(value), text)

    def test_ratios_keep_their_width(self):
        for factor in (0.001, 1, 9.9996, 123.456, 98765.4):
            ratio = verdicts.Ratio(factor, 14, low=factor, high=factor)
            self.assertLessEqual(len(table.ratio_text(ratio)), 19)
        text = table.ratio_text(verdicts.Ratio(1.02, 9, low=0.991, high=1.0523))
        self.assertEqual(text, "1.020 [0.991 1.052]")

    def test_notes_tell_calls_memory_and_what_was_stolen(self):
        lines = table.notes(self.run_there, "S2")
        text = " ".join(" ".join(lines).split())
        self.assertIn("mine calls epoll_wait 0.50, recv 1.00 ", text)
        self.assertIn(f"MB: {ONE} 10.0, {AGAIN} 10.0, ", text)
        self.assertIn("the hypervisor took 5.0% of a processor", text)

    def test_of_a_run_that_has_just_begun(self):
        for count in range(1, 4):
            lines = lines_of(self.plan, lambda cell: {})[:count]
            table.render(results.Results(lines))


class Readme(unittest.TestCase):
    TEXT = f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n"

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.document = pathlib.Path(folder.name) / "README.md"
        self.results = pathlib.Path(folder.name) / "docs" / "run.jsonl"
        self.results.parent.mkdir()
        lines = lines_of(PLAN, lambda cell: {})
        self.results.write_text("".join(json.dumps(x) + "\n" for x in lines))

    def test_replaces_what_is_between_the_markers(self):
        self.document.write_text(self.TEXT)
        readme.rewrite(self.document, self.results)
        text = self.document.read_text()
        self.assertTrue(text.startswith(f"before\n{readme.BEGIN}\n"))
        self.assertTrue(text.endswith(f"{readme.END}\nafter\n"))
        self.assertNotIn("old", text)
        self.assertIn("[docs/run.jsonl](docs/run.jsonl)", text)
        for label in (ONE, AGAIN, OTHER):
            self.assertIn(f"| `{label}` | 14 | 1000 |", text)
        readme.rewrite(self.document, self.results)
        self.assertEqual(self.document.read_text(), text)

    def test_says_that_cells_are_missing(self):
        self.document.write_text(self.TEXT)
        lines = self.results.read_text().splitlines(keepends=True)
        self.results.write_text("".join(lines[:-2]))
        readme.rewrite(self.document, self.results)
        self.assertIn("broken off with 2 cells to go", self.document.read_text())

    def test_keeps_what_is_there_if_there_is_nothing_better(self):
        self.document.write_text(self.TEXT)
        lines = self.results.read_text().splitlines(keepends=True)
        self.results.write_text(lines[0])
        with self.assertRaisesRegex(ValueError, "nothing was measured"):
            readme.rewrite(self.document, self.results)
        with (
            mock.patch("os.replace", side_effect=OSError(28, "No space")),
            self.assertRaisesRegex(OSError, "README.md"),
        ):
            atomic.write(self.document, "new")
        self.assertEqual(self.document.read_text(), self.TEXT)
        self.assertEqual(list(self.document.parent.glob(".*")), [])

    def test_needs_the_markers(self):
        self.document.write_text("before\n" + readme.END + readme.BEGIN)
        with self.assertRaisesRegex(ValueError, "no lines"):
            readme.rewrite(self.document, self.results)


class Observing(unittest.TestCase):
    def test_switches_are_lost_with_their_task(self):
        before = {1: (10, 1), 2: (20, 2)}
        after = {1: (15, 1), 2: (20, 5), 3: (7, 0)}
        found = observe.switches_between(before, after)
        self.assertEqual(found, {"voluntary": 12, "involuntary": 3})
        self.assertIsNone(observe.switches_between(before, {1: (15, 1)}))
        self.assertIsNone(observe.switches_between(None, after))

    def test_reads_whole_files_and_none_that_are_gone(self):
        text = "x" * (3 * observe.READ_SIZE + 1)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            self.assertEqual(observe.read(file.name), text)
        self.assertEqual(observe.read(file.name), "")

    def test_reads_the_threads_of_a_process(self):
        over = threading.Event()
        thread = threading.Thread(target=over.wait)
        thread.start()
        try:
            self.assertEqual(observe.count_threads(os.getpid()),
                             threading.active_count())  # fmt: skip
            mine = observe.Processes(os.getpid())
            before = mine.switches()
            self.assertEqual(set(before), {os.getpid(), thread.native_id})
            for _ in range(3):
                time.sleep(0.001)  # each a voluntary one
            after = mine.switches()
            found = observe.switches_between(before, after)
            self.assertGreaterEqual(found["voluntary"], 3)
            with mock.patch.object(observe, "TASKS_MAX", 1):
                self.assertIsNone(mine.switches())
        finally:
            over.set()
            thread.join()
        self.assertEqual(observe.count_threads(0), 0)

    def served(self, info=None):
        told = served.parse_info(f"{served.COMMANDS}:12\r\n")
        someone = mock.Mock(pid=os.getpid(), is_ring=False)
        someone.info.side_effect = info or (
            lambda: json.loads(json.dumps(told))
        )
        return someone

    def watcher(self, seconds, with_memory=False, info=None):
        return measure.Watcher(self.served(info), seconds, with_memory)

    def test_a_race_takes_the_same_look(self):
        """What is spent after the second look, at the end, is not counted."""
        now, infos = [0.0], iter((5, 55, 105, 155))
        told = []
        watcher = racing.Spectator(
            self.served(lambda: {
                "calls": {}, "model": {},
                "commands": {served.COMMANDS: next(infos)},
            }), 0.01, lambda answered, passed: told.append(answered),
        )  # fmt: skip
        with mock.patch.object(observe.Processes, "cpu_seconds",
                               lambda _: now[0]):  # fmt: skip
            watcher(load_run.LINE_MEASURING)
            now[0] = 1.0
            time.sleep(0.01)
            watcher(None)
            now[0] = 7.0
            watcher(load_run.LINE_MEASURED)
        found = watcher.found(1000)
        self.assertEqual(found["spent_s"]["server"], 1.0)
        self.assertEqual(found["commands"], 50)
        self.assertEqual(told, [100])

    def test_looks_once_more_while_it_is_measured(self):
        """At the end the connections are closed, and threads go with them."""
        watcher = self.watcher(0.05)
        watcher(load_run.LINE_MEASURING)
        watcher(None)
        self.assertIsNone(watcher.later, "it is early")
        time.sleep(0.05)
        watcher(None)
        later = watcher.later
        self.assertFalse(watcher.is_done)
        watcher(load_run.LINE_MEASURED)
        self.assertTrue(watcher.is_done)
        self.assertIs(watcher.later, later)
        found = watcher.found(1000)
        self.assertGreaterEqual(found["spent_s"]["at"], 0.05)
        self.assertEqual(found["threads"], threading.active_count())

    def test_looks_at_the_end_where_there_was_no_time(self):
        watcher = self.watcher(60)
        watcher(load_run.LINE_MEASURING)
        watcher(load_run.LINE_MEASURED)
        self.assertGreater(watcher.found(1000)["spent_s"]["at"], 0)

    def test_counts_children_while_they_live_and_when_they_have_ended(self):
        """As a server's that forks: for each peer, or for its own chores."""
        program = (
            "import os, sys, time\n"
            "if os.fork() == 0:\n"
            "    while time.process_time() < 0.1: pass\n"
            "    print('spent', flush=True)\n"
            "    sys.stdin.readline(); os._exit(0)\n"
            "os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)\n"
            "print('ended', flush=True)\n"
            "sys.stdin.readline(); os.wait()\n"
            "print('waited for', flush=True); sys.stdin.readline()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-ISc", program], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        with process:
            for said in ("spent", "ended", "waited for"):
                self.assertEqual(process.stdout.readline().strip(), said)
                found = observe.Processes(process.pid).cpu_seconds()
                self.assertGreaterEqual(found, 0.09, said)
                process.stdin.write("\n")
                process.stdin.flush()

    def test_memory_that_cannot_be_read_is_not_none_of_it(self):
        mine = observe.Processes(os.getpid())
        self.assertGreater(mine.anonymous_bytes(), 1 << 20)
        with mock.patch("observe.status_fields", return_value={}):
            self.assertIsNone(mine.anonymous_bytes())

    def test_memory_is_read_before_it_is_measured(self):
        watcher = self.watcher(60, with_memory=True)
        looks = []
        with mock.patch.object(observe.Processes, "anonymous_bytes",
                               lambda _: looks.append(1) or 7):  # fmt: skip
            watcher(load_run.LINE_WARMING)
            self.assertEqual(len(looks), 1)
            for said in (load_run.LINE_MEASURING, load_run.LINE_MEASURED):
                watcher(said)
        self.assertEqual(len(looks), 1, "no further one meanwhile")
        self.assertEqual(watcher.found(1000)["memory"]["measuring"]["own"], 7)

    def test_nothing_at_all_is_0_and_not_unknown(self):
        """As of a server that is told of its requests by the kernel, without a
        call."""
        told = iter((5, 105))
        watcher = self.watcher(60, info=lambda: {
            "calls": {"io_uring_enter": 9}, "model": {},
            "commands": {served.COMMANDS: next(told)},
        })  # fmt: skip
        watcher(load_run.LINE_MEASURING)
        with mock.patch.object(observe.Processes, "cpu_seconds",
                               lambda _: watcher.before["server"]):  # fmt: skip
            watcher(load_run.LINE_MEASURED)
        found = watcher.found(1000)
        self.assertEqual(found["calls_per_request"], {"io_uring_enter": 0.0})
        self.assertEqual(found["server_cpu_us"], 0.0)
        said = racing.told(FIELDS | found)
        self.assertIn("CPU 0.00 us, 0.00 calls", said)

    def test_the_harness_sleeps_until_it_looks_again(self):
        """The pipe of a load that says two lines, a second apart."""
        said = "echo measuring >&2; sleep 1; echo measured >&2"
        process = subprocess.Popen(["sh", "-c", said], stderr=subprocess.PIPE)
        heard = []

        def watch(line):
            heard.append(line)

        watch.tick = 0.8
        with process:
            load_run.follow(process, 1, watch)
        self.assertEqual(
            heard, [load_run.LINE_MEASURING, None, load_run.LINE_MEASURED]
        )

    def test_threads_are_for_servers_that_have_several(self):
        scenario = scenarios.find("S2")
        for traits, words in (
            ({"threads": "loops"}, ("--threads", "4")),
            ({"threads": "workers"}, ("--threads", "4")),
            ({"threads": "none"}, ()), ({}, ()),
        ):  # fmt: skip
            with mock.patch("served.traits", return_value=traits):
                self.assertEqual(served.options("a", scenario, 4), words)
                self.assertEqual(served.options("a", scenario), ())

    def test_only_a_node_has_lookups(self):
        for ring, refused in (("yes", False), ("no", True)):
            found = {"ring": ring}
            with mock.patch("served.traits", return_value=found):
                try:
                    served.refuse_unsuited("a", scenarios.find("S8"))
                    said = ""
                except contestants.Skipped as reason:
                    said = str(reason)
                self.assertEqual(said == "it is no node of a ring", refused)

    def test_reads_calls_and_model_of_info(self):
        text = ("# Stats\r\ntotal_commands_processed:9\r\n# Syscalls\r\n"
                "syscall_recv:12\r\nideal_recv:1.00\r\n# Model\r\n"
                "enobufs:3\r\n\r\n# Keyspace\r\ndb0:keys=1\r\n")  # fmt: skip
        found = served.parse_info(text)
        self.assertEqual(found["calls"], {"recv": 12})
        self.assertEqual(found["model"], {"enobufs": 3})
        self.assertEqual(sum(found["commands"].values()), 9)


FIELDS = {"verdict": "VALID", "reason": "", "rate": 1000.0, "errors": 0,
          "latency_us": {"p99": 500.0}}  # fmt: skip


class Screen(io.StringIO):
    def isatty(self):
        return True


class Shown(unittest.TestCase):

    def show(self, out):
        shown = progress.Progress(out, 2, expected=3.0)
        self.assertEqual(shown.seconds_left(), 6.0)
        cell = PLAN.cells()[0]
        shown.begin(cell)
        shown.end(cell, progress.describe_result(FIELDS))
        shown.leave_out()
        self.assertEqual(shown.seconds_left(), 0)
        shown.clear()
        return out.getvalue()

    def test_a_line_a_cell_where_there_is_no_terminal(self):
        text = self.show(io.StringIO())
        self.assertEqual(len(text.splitlines()), 1)
        self.assertRegex(text, r"^1/2 S2 block 1 .*: 1000/s, p99 500 us\n$")

    def test_one_line_painted_anew_on_a_terminal(self):
        text = self.show(Screen())
        self.assertNotIn("\n", text)
        self.assertIn("[##########..........] 1/2", text)

    def test_tells_what_went_wrong(self):
        for fields, said in (
            ({"skipped": "no DHT"}, "SKIPPED: no DHT"),
            ({"failed": "it died"}, "FAILED: it died"),
            (FIELDS | {"errors": 1, "first_error": "b"}, "CONVICTED: b"),
            (FIELDS | {"verdict": "INVALID", "reason": "late"},
             "INVALID: late"),
        ):  # fmt: skip
            self.assertIn(said, progress.describe_result(fields))


if __name__ == "__main__":
    unittest.main()
