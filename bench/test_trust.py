"""bench/trust: what is judged, and that each demand is measured."""

import contextlib
import io
import json
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import contestants  # noqa: E402  (after the line that keeps the tree clean)
import paired  # noqa: E402
import trustworthiness as trust  # noqa: E402

CSV = (
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms",'
    '"p95_latency_ms","p99_latency_ms","max_latency_ms"\n'
    '"ECHO xx","80000.00","0.010","0.008","0.015","0.031","0.044","1.2"\n'
)


def interval(low, high):
    return paired.Estimate((low + high) / 2, low, high, 15)


class Judging(unittest.TestCase):
    def test_a_demand_on_one_side(self):
        self.assertEqual(trust.judge(interval(1.31, 1.5), 1.3), paired.HOLDS)
        self.assertEqual(trust.judge(interval(1.2, 1.5), 1.3), paired.OPEN)
        self.assertEqual(trust.judge(interval(1.1, 1.2), 1.3), paired.FAILS)

    def test_a_demand_on_both_sides(self):
        def judged(low, high):
            return trust.judge(interval(low, high), 0.8, 1.2)

        self.assertEqual(judged(0.9, 1.1), paired.HOLDS)
        self.assertEqual(judged(0.7, 1.1), paired.OPEN)
        self.assertEqual(judged(0.9, 1.3), paired.OPEN)
        self.assertEqual(judged(0.5, 0.7), paired.FAILS)
        self.assertEqual(judged(1.3, 1.4), paired.FAILS)

    def test_too_few_are_no_verdict(self):
        found = paired.estimate([1.4] * 3)
        self.assertEqual(trust.judge(found, 1.3), paired.INCONCLUSIVE)

    def test_the_median_stands_under_its_name(self):
        self.assertEqual(trust.median_us(CSV), 15.0)

    def test_the_lag_of_a_run_too_short_for_a_percentile_is_its_worst(self):
        lag = {"p99": None, "max": 7.5}
        self.assertEqual(trust.lag_of({"send_lag_us": lag}), 7.5)
        lag = {"p99": 3.5, "max": 7.5}
        self.assertEqual(trust.lag_of({"send_lag_us": lag}), 3.5)


def said(*runs, wanted, least, count=None):
    """The report of such verdicts, its line, and what it printed."""
    lines = []
    report = trust.Report(lambda **line: lines.append(line))
    runs = [{"verdict": verdict, "reason": "so"} for verdict in runs]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        trust.say_verdicts(
            report, "name", runs, wanted, least, count or len(runs)
        )
    return report, lines[0], out.getvalue()


class Verdicts(unittest.TestCase):
    def test_enough_are_right(self):
        verdicts = "VALID", "VALID", "INVALID"
        report, _, text = said(*verdicts, wanted="VALID", least=2)
        self.assertFalse(report.failed)
        self.assertIn("2 of 3", text)
        self.assertIn("  INVALID so", text)

    def test_one_is_missing(self):
        report, line, _ = said(
            "INVALID", "VALID", wanted="INVALID", least=2
        )
        self.assertTrue(report.failed)
        self.assertEqual(line["verdict"], paired.FAILS)

    def test_too_few_runs_are_no_verdict(self):
        _, line, _ = said("VALID", wanted="VALID", least=1, count=4)
        self.assertEqual(line["verdict"], paired.INCONCLUSIVE)


def run_of(**differing):
    run = {
        "verdict": "VALID", "gaps_p": 0.4, "stationarity_p": 0.4,
        "requests": 1000, "effective_n": 900, "offered": 1000.0,
        "rate": 1000.0, "duration_s": 1.0, "limited_by": "schedule",
    }  # fmt: skip
    return run | differing


class Planted(unittest.TestCase):
    """None of them is found in a run without it."""

    def test_bursts(self):
        self.assertFalse(trust.is_burst(run_of(), 0))
        invalid = {"verdict": "INVALID"}
        self.assertFalse(trust.is_burst(run_of(**invalid), 0))
        self.assertFalse(trust.is_burst(run_of(gaps_p=None, **invalid), 0))
        self.assertTrue(trust.is_burst(run_of(gaps_p=1e-5, **invalid), 0))

    def test_drift(self):
        self.assertFalse(trust.is_drift(run_of()))
        self.assertFalse(trust.is_drift(run_of(stationarity_p=1e-5)))
        drift = run_of(stationarity_p=1e-5, verdict="INVALID")
        self.assertTrue(trust.is_drift(drift))

    def test_few_samples(self):
        self.assertFalse(trust.is_thinned(run_of()))
        self.assertTrue(trust.is_thinned(run_of(effective_n=100)))

    def test_overload(self):
        self.assertFalse(trust.is_overload(run_of(), 1000))
        behind = {"limited_by": None, "rate": 500.0}
        self.assertTrue(trust.is_overload(run_of(**behind), 500))
        # More than was answered is no rate.
        self.assertFalse(trust.is_overload(run_of(**behind), 499))
        # What is answered after the end is not of the time.
        self.assertFalse(
            trust.is_overload(run_of(limited_by=None), 1000)
        )


class Arguments(unittest.TestCase):
    def test_that_have_no_sense_are_refused(self):
        for words in (["--pairs", "0"], ["--seconds", "0"], ["--only", "x"]):
            with (
                self.assertRaises(SystemExit) as ended,
                contextlib.redirect_stderr(io.StringIO()),
            ):
                trust.parse_arguments(words)
            self.assertEqual(ended.exception.code, 2)


@unittest.skipUnless(shutil.which("redis-benchmark"), "no redis-benchmark")
class Whole(unittest.TestCase):
    def report_of(self, *words):
        """The exit code, what was printed, and the lines of the results."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        results = pathlib.Path(folder.name) / "results"
        words = [*words, "--pairs", "1", "--results", str(results)]
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = trust.main(words)
        first, *lines = map(json.loads, results.read_text().splitlines())
        self.assertIn("processors", first["machine"])
        # It fails if a demand does, and for no other reason.
        failed = any(line["verdict"] == paired.FAILS for line in lines)
        self.assertEqual(code, int(failed), out.getvalue())
        return lines

    def test_every_demand_is_measured(self):
        lines = self.report_of(
            "--seconds", "0.2", "--only", "cost,median,lag,verdicts,reach"
        )
        self.assertEqual(
            [line["name"] for line in lines],
            ["cost, P16", "median, c1", "median, c50", "lag, p99",
             "healthy: VALID", "held up: not", "reach"],
        )  # fmt: skip
        for line in (*lines[:3], lines[6]):
            self.assertEqual(len(line["ratios"]), 1)
            self.assertGreater(line["ratios"][0], 0)
        # Of one pair there is no interval: nothing is decided by it.
        for line in lines[:3]:
            self.assertEqual(line["verdict"], paired.INCONCLUSIVE)
        # However busy the machine, a load that was held up is not VALID.
        self.assertEqual(lines[5]["verdict"], paired.HOLDS)
        self.assertTrue(all(lines[5]["reasons"]))
        # Runs from which the hypervisor took too much are not among them.
        self.assertLessEqual(
            len(lines[4]["reasons"]), len(trust.HEALTHY_LOADS)
        )

    def test_every_planted_fault_is_found(self):
        # So long that a window of the test for a trend, of 32, is longer than
        # a turn of the server that is held up.
        lines = self.report_of("--seconds", "1", "--only", "faults")
        names = ["bursts", "drift", "turns", "overload", "halved"]
        self.assertEqual(
            [line["name"] for line in lines],
            [f"planted: {name}" for name in names],
        )
        # Noise hides none of these; only what two connections ask more than
        # one may not be more on a machine that has no CPU for them.
        for line in lines[:4]:
            self.assertEqual(line["verdict"], paired.HOLDS, line)

    def test_a_load_that_does_not_work_is_a_failure(self):
        with (
            contextlib.redirect_stderr(io.StringIO()) as errors,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            self.assertEqual(trust.main(["--client", "/bin/false"]), 1)
        self.assertIn("FAILED: ", errors.getvalue())


if __name__ == "__main__":
    unittest.main()
