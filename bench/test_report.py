"""What bench/report shows: the numbers of the results, and nothing that they do
not say. Results are made up; nothing is measured, no browser is started."""

import contextlib
import dataclasses
import html.parser
import io
import json
import os
import pathlib
import re
import statistics
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
import comparison  # noqa: E402  (after the line that keeps the tree clean)
import sample_results as sample  # noqa: E402
import scenarios  # noqa: E402
import verdicts  # noqa: E402
from reporting import command, drawing, figures, page, plots  # noqa: E402
from reporting import scales, terminal, words  # noqa: E402
from reporting.model import Axis, Curve, Panel, Spread  # noqa: E402
from results import CPU, TAIL, Results  # noqa: E402

ONE, OTHER = "epoll-level", "iouring-multishot"
AGAIN = ONE + " again"
TWO = sample.plan_of((ONE, OTHER), ("S2",))
AT_RATE = "S2@10000"
RATED = sample.plan_of((ONE, OTHER), (AT_RATE,))
EVIL = '<script>window.harmed=1</script>\'"&\x1b[2J`id`'


def results_of(plan=TWO, change=lambda cell, fields: fields):
    return Results(sample.lines_of(plan, change))


def figure_of(results, name):
    return {f.name: f for f in figures.build(results)}[name]


def rendered(results):
    return page.render(results, figures.build(results), "FILE")


def cells_of(results, label, scenario="S2"):
    return results.cells(scenario, label)


def invalid(fields):
    return fields | {"verdict": "INVALID", "reason": "held up"}


class Tables(unittest.TestCase):
    """Numbers that are found again without the report's help."""

    def check(self, results, name, column, value):
        """The first table's column is the median, least and greatest of what
        `value(cell)` returns."""
        table = figure_of(results, name).views[0].tables[0]
        place = [c.startswith(column) for c in table.columns].index(True)
        self.assertEqual({row[0] for row in table.rows}, {ONE, AGAIN, OTHER})
        for label, entries in table.rows:
            values = [value(cell) for cell in cells_of(results, label)]
            found = entries[place]
            self.assertAlmostEqual(found.median, statistics.median(values))
            self.assertEqual((found.low, found.high, found.count),
                             (min(values), max(values), 10))  # fmt: skip

    def test_hold_the_results_numbers(self):
        results = results_of()
        for name, column, value in (
            ("latency", "99 %", lambda c: c["latency_us"]["p99"]),
            ("latency", "greatest", lambda c: c["latency_us"]["max"]),
            ("latency", "answers", lambda c: c["rate"]),
            ("cpu", "server", lambda c: c["server_cpu_us"]),
            ("cpu", "whole machine", lambda c: c["machine_cpu_us"]),
            ("calls", "system calls",
             lambda c: sum(c["calls_per_request"].values())),
            ("calls", "context switches",
             lambda c: sum(c["switches_per_s"].values()) / c["served_per_s"]),
        ):  # fmt: skip
            with self.subTest(name, column=column):
                self.check(results, name, column, value)

    def test_hold_every_offered_rate(self):
        results = results_of(sample.plan_of((ONE, OTHER), sample.SWEPT))
        shown = figure_of(results, "load").views[0]
        rates = [10000, 25000, 50000, 70000, 85000, 100000]
        ticks = [number for number, _ in shown.panels[0].x.ticks]
        self.assertEqual(ticks, rates)
        for label, entries in shown.tables[0].rows:
            for rate, found in zip(rates, entries):
                values = [c["latency_us"]["p99"] for c in
                          cells_of(results, label, f"S2@{rate}")]  # fmt: skip
                self.assertAlmostEqual(found.median, statistics.median(values))

    def test_say_how_late_the_load_itself_was(self):
        def said(lag_of, latency=()):
            def late(cell, fields):
                lag = {"p99.9": lag_of(cell)}
                return fields | {
                    "load": fields["load"] | {"send_lag_us": lag},
                    "latency_us": fields["latency_us"] | dict(latency),
                }

            plan = sample.plan_of((ONE, OTHER), sample.SWEPT)
            view = figure_of(results_of(plan, late), "latency").views[0]
            return " ".join(view.said)

        cause = "the load may be the cause"
        self.assertNotIn(cause, said(lambda cell: None))
        self.assertNotIn(cause, said(lambda cell: 90.0))
        self.assertNotIn(cause, said(lambda cell: 9e3, {"p99.9": None}))
        told = said(lambda cell: 9e3 if cell.contestant.name == OTHER else 9.0)
        self.assertIn(f"later: {OTHER} {scales.digits(9e3)} µs.", told)

    def test_hold_time_and_memory_of_idle_connections(self):
        results = results_of(sample.plan_of((ONE, OTHER), sample.IDLE))
        time, memory = figure_of(results, "idle").views[0].tables
        for label, entries in memory.rows:
            cells = cells_of(results, label, "S3-10000")
            grown = [(c["memory"]["measuring"]["own"]
                      - c["memory"]["before"]["own"]) / 1024
                     for c in cells]  # fmt: skip
            self.assertAlmostEqual(entries[2].median, statistics.median(grown))
            self.assertEqual(entries[3], results.bytes_per_idle(label, "own"))
        for label, entries in time.rows:
            values = [c["server_cpu_us"] for c in
                      cells_of(results, label, "S3-1000")]  # fmt: skip
            self.assertAlmostEqual(entries[1].median, statistics.median(values))

    def test_put_the_best_first(self):
        table = figure_of(results_of(), "cpu").views[0].tables[0]
        medians = [entries[0].median for _, entries in table.rows]
        self.assertEqual(medians, sorted(medians))

    def test_numbers_are_in_the_page_and_in_its_json(self):
        results = results_of()
        text = rendered(results)
        median = results.median("S2", OTHER, CPU)[0]
        self.assertIn(f"<td>{scales.digits(median)} <small>", text)
        script = re.search(r'id="numbers">(.*?)</script>', text, re.S).group(1)
        rows = json.loads(script)["cpu"][0]["tables"][0]["rows"]
        mine = [row for row in rows if row[0] == OTHER][0]
        self.assertAlmostEqual(mine[1][0], median, places=3)


class Percentiles(unittest.TestCase):
    def known(self, results):
        panel = figure_of(results, "latency").views[0].panels[0]
        return sorted(panel.curves[0].points)

    def test_are_all_that_the_load_wrote(self):
        self.assertEqual(
            self.known(results_of()), [p for p in sample.PERCENTILES if p < 100]
        )

    def test_are_the_printed_ones_of_an_older_load(self):
        def older(cell, fields):
            del fields["load"]["percentiles_us"]
            return fields

        results = results_of(change=older)
        self.assertEqual(self.known(results), [50, 90, 99, 99.9])

    def test_too_rare_in_one_cell_are_shown_of_none(self):
        def without(cell, fields):
            if cell.block == 0 and cell.contestant.label == OTHER:
                fields["load"]["percentiles_us"].remove(
                    fields["load"]["percentiles_us"][-2]
                )
                fields["latency_us"]["p99.9"] = None
            return fields

        known = self.known(results_of(change=without))
        self.assertNotIn(99.99, known)
        self.assertNotIn(99.9, known)
        self.assertIn(99.95, known)


class Winners(unittest.TestCase):
    def winner(self, change, metric=CPU, plan=RATED):
        scenario = plan.scenarios[0]
        return words.winner(results_of(plan, change), scenario, metric, "It")

    def test_is_named_where_there_is_one(self):
        said = self.winner(lambda cell, fields: fields)
        self.assertRegex(said, f"^It: {ONE} won, with .* next, {OTHER}.$")

    def test_is_nobody_among_equals(self):
        def same(cell, fields):
            stray = 1 + 0.05 * ((7 * cell.block + 3 * cell.visit
                                 + len(cell.contestant.label)) % 3)  # fmt: skip
            return fields | {"server_cpu_us": 10 * stray}

        self.assertIn("no measurable difference between", self.winner(same))

    def test_is_nobody_alone_where_two_are_ahead(self):
        plan = sample.plan_of((ONE, OTHER, "redis"), (AT_RATE,))

        def two(cell, fields):
            mine = 30.0 if cell.contestant.name == "redis" else 10.0
            stray = 1 + (cell.block + len(cell.contestant.label)) % 2 / 100
            return fields | {"server_cpu_us": mine * stray}

        said = self.winner(two, plan=plan)
        self.assertIn("nobody won alone", said)
        self.assertTrue(said.endswith("measurably behind: redis."), said)

    def test_is_nobody_in_a_circle(self):
        """Which can be: each comparison is of the blocks that two share."""
        names = (ONE, OTHER, "redis")
        results = results_of(sample.plan_of(names, (AT_RATE,)))

        def compared(scenario, label, other, metric):
            steps = names.index(label) - names.index(other)
            return verdicts.LESS if steps % 3 == 1 else verdicts.MORE

        with mock.patch.object(results, "compared", compared):
            said = words.winner(results, AT_RATE, CPU, "It")
        self.assertIn("nobody won; each is measurably behind another", said)

    def test_is_not_named_after_too_few_blocks(self):
        plan = sample.plan_of((ONE, OTHER), (AT_RATE,), blocks=1)
        said = self.winner(lambda cell, fields: fields, plan=plan)
        self.assertIn("nobody can be called the winner (too few blocks)", said)

    def test_is_not_named_without_a_valid_cell(self):
        said = self.winner(lambda cell, fields: invalid(fields), TAIL)
        self.assertIn("nobody can be ranked", said)

    def test_needs_somebody_to_win_against(self):
        def alone(cell, fields):
            mine = cell.contestant.name == ONE
            return fields if mine else {"failed": "gone"}

        self.assertIn(f"only {ONE} can be ranked", self.winner(alone))

    def test_greatest_rate_wins(self):
        said = self.winner(lambda cell, fields: fields, "rate", TWO)
        self.assertIn(f"{ONE} won", said)


class FreshReader(unittest.TestCase):
    """What the page of a first look says in short: of equals, and of a run with
    one server that takes half as much again of everything."""

    DEARER = "blocking-thread"
    NAMES = (ONE, DEARER, OTHER)
    DIFFERENCE = re.compile(
        "won, with|(dearer|cheaper|faster|slower|later|sooner|larger|smaller|"
        "more|fewer): |measurably behind"
    )

    def answers(self, seed, dearer):
        plan = dataclasses.replace(
            sample.plan_of(self.NAMES, sample.QUICK, blocks=7), seed=seed
        )
        results = results_of(plan, sample.alike(plan, dearer))
        return [page.answer(figure) for figure in figures.build(results)]

    def test_finds_everybody_in_the_answer_to_each_question(self):
        for answer in self.answers(1, {}):
            for name in self.NAMES:
                self.assertIn(name, answer)
            self.assertNotIn("Not in this run", answer)
            self.assertNotIn("nobody is ranked", answer)

    def test_draws_no_conclusion_from_equals(self):
        """Each table has its own 5 %, and a page has ten."""
        wrong = [seed for seed in range(10)
                 if self.DIFFERENCE.search(" ".join(self.answers(seed, {})))]
        self.assertLessEqual(len(wrong), 1)

    def test_draws_the_right_conclusion_where_there_is_one(self):
        for seed in range(5):
            latency, load, cpu, calls, idle = self.answers(
                seed, {self.DEARER: 1.5}
            )
            for answer, word in ((latency, "later"), (load, "dearer"),
                                 (cpu, "dearer"), (calls, "more"),
                                 (idle, "dearer"), (idle, "larger")):
                self.assertIn(f"{word}: {self.DEARER}", answer)
                self.assertIn(f"no measurable difference: {OTHER}", answer)

    def test_is_told_who_won_alone(self):
        for seed in range(5):
            cpu = self.answers(seed, {ONE: 1.5, self.DEARER: 1.5})[2]
            self.assertRegex(cpu, f"{OTHER} won, with [0-9.]+ µs against")
            self.assertIn(f"cheaper: {OTHER}", cpu)


class OfTheLoad(unittest.TestCase):
    """What the load says of its own measuring, on the page."""

    def test_is_in_a_table(self):
        results = results_of(sample.plan_of((ONE, OTHER), sample.QUICK))
        table = figure_of(results, "latency").views[0].tables[1]
        row = dict(table.rows)[OTHER]
        self.assertEqual(row[0], "schedule 10")
        self.assertEqual(row[1], 12_000)
        self.assertRegex(row[2], r"[0-9.]+ \[[0-9.]+ [0-9.]+\]")
        self.assertEqual(row[3:5], ("0 of 10", "0 of 10"))

    def test_of_an_older_load_is_not_made_up(self):
        def older(cell, fields):
            return fields | {"load": {}}

        results = results_of(change=older)
        table = figure_of(results, "latency").views[0].tables[1]
        self.assertIn("does not say", table.caption)
        self.assertEqual(dict(table.rows)[OTHER][1:], (None,) * 6)

    def test_tests_of_it_are_told_in_sentences(self):
        lines = sample.lines_of(TWO)
        for label, rate in (("bare-echo null", 1e6), (f"{ONE} doubled", 1e5)):
            lines.append(lines[1] | {"contestant": label, "rate": rate})
        text = rendered(Results(lines))
        self.assertIn("Null test: the load drives a bare echo at 1000000", text)
        self.assertIn("Doubled load: ", text)
        self.assertNotIn('scope="row">bare-echo null', text)


class BoundsShown(unittest.TestCase):
    def results(self):
        def limited(cell, fields):
            if cell.contestant.name != OTHER or cell.scenario != "S2":
                return fields
            load = fields["load"] | {"limited_by": "load"}
            return fields | {"load": load, "rate": 168_700.0}

        plan = sample.plan_of((ONE, OTHER), ("S1", "S2"))
        return results_of(plan, limited)

    def test_a_rate_that_the_load_limited_is_marked_everywhere(self):
        results = self.results()
        shown = f"&gt;= {scales.digits(168_700)}"
        self.assertIn(f"<td>{shown}</td>", rendered(results))
        said = " ".join(figure_of(results, "load").views[0].said)
        self.assertIn(f"{OTHER} >= {scales.digits(168_700)}", said)

    def test_a_dot_of_one_is_hollow_and_has_an_arrow(self):
        def drawn(**more):
            spread = Spread(5, 4, 6, 7, **more)
            panel = Panel("Title", Axis("up"), (Curve("one", 0, {0: spread}),))
            return panel, drawing.draw(panel, "said", "key", "none")

        panel, text = drawn(bound=True)
        self.assertIn('class="hollow"', text)
        self.assertIn("l6,4l-6,4", text)
        self.assertIn(">&gt;= 5.00</text>", text)
        self.assertIn("one >=", "".join(plots.dot_lines(panel, "n")))
        panel, text = drawn(invalid=True)
        self.assertIn(">~5.00</text>", text)
        self.assertIn("one ~", "".join(plots.dot_lines(panel, "n")))
        panel, text = drawn()
        self.assertNotIn("hollow", text)


class Missing(unittest.TestCase):
    def commands(self, results):
        return {f.name: f.missing.command for f in figures.build(results)
                if f.missing}  # fmt: skip

    def accept(self, text):
        """The command is one that bench/compare takes."""
        program, *arguments = text.split()
        self.assertEqual(program, "bench/compare")
        comparison.make_parser().parse_args(arguments)

    def test_figures_name_a_command_that_measures_them(self):
        found = self.commands(results_of())
        self.assertEqual(found.keys(), {"load", "idle"})
        self.assertIn("--sweep --scenario S2", found["load"])
        self.assertIn("--scenario S3", found["idle"])
        for text in found.values():
            self.accept(text)
            self.assertIn(f"--models {ONE},{OTHER}", text)
        text = rendered(results_of())
        for shown in found.values():
            self.assertIn(shown, text)

    def test_commands_tell_models_peers_and_paths_apart(self):
        plan = sample.plan_of((ONE, "redis", "/a b/mine"), ("S2",))
        text = self.commands(results_of(plan))["load"]
        names = f"--models {ONE} --peers redis --server '/a b/mine'"
        self.assertIn(names, text)

    def test_one_rate_makes_no_line_but_shows_capacity(self):
        results = results_of(sample.plan_of((ONE, OTHER), ("S2", AT_RATE)))
        view = figure_of(results, "load").views[0]
        self.assertEqual([panel.x for panel in view.panels], [None])
        self.assertRegex(view.said[0], f"Capacity, .*: {ONE} [0-9].*{OTHER} ")

    def test_a_run_without_a_load_has_no_figure_at_all(self):
        def rest(cell, fields):
            return {"verdict": "VALID", "reason": "", "errors": 0}

        results = results_of(sample.plan_of((ONE,), ("S10",)), rest)
        found = self.commands(results)
        self.assertEqual(len(found), 5)
        for text in found.values():
            self.accept(text)
        self.assertIn("In short", rendered(results))

    def test_a_search_for_the_highest_rate_is_shown_as_one(self):
        plan = dataclasses.replace(TWO, bound_us=1000.0)
        found = figure_of(results_of(plan), "load")
        self.assertIn("higher is better", found.unit)
        medians = [e[0].median for _, e in found.views[0].tables[0].rows]
        self.assertEqual(medians, sorted(medians, reverse=True))
        self.assertIn(f"{ONE} won", found.views[0].said[0])
        self.assertIn("a p99 of 1", found.views[0].title)

    def test_nothing_measured_yet_is_a_page_too(self):
        text = rendered(results_of(change=lambda cell, fields: None))
        self.assertIn("30 of 30 cells are missing", text)


class Honesty(unittest.TestCase):
    def test_invalid_cells_count_for_time_but_not_for_latency(self):
        def held(cell, fields):
            mine = cell.contestant.label == OTHER and cell.block == 0
            return invalid(fields) if mine else fields

        results = results_of(change=held)
        rows = dict(figure_of(results, "latency").views[0].tables[0].rows)
        self.assertEqual((rows[OTHER][0].count, rows[OTHER][6]), (8, "8 of 10"))
        rows = dict(figure_of(results, "cpu").views[0].tables[0].rows)
        self.assertEqual(rows[OTHER][0].count, 10)
        text = rendered(results)
        self.assertIn("2 of 10</td><td class=words>INVALID: held up", text)

    def test_numbers_of_invalid_cells_alone_are_marked(self):
        def held(cell, fields):
            mine = cell.contestant.label == OTHER
            return invalid(fields) if mine else fields

        results = results_of(RATED, held)
        text = rendered(results)
        median = results.median(AT_RATE, OTHER, TAIL).value
        self.assertIn(f"<td>~{scales.digits(median)} <small>", text)
        self.assertIn('class="hollow"/>', text)
        self.assertIn("no valid pairs", text)

    def test_who_failed_lied_or_is_not_there_is_named(self):
        plan = sample.plan_of((ONE, "a-b", "c-d", "e-f"), ("S2",))
        lie = {"errors": 3, "first_error": "another's bytes"}

        def fates(cell, fields):
            first = cell.block == cell.visit == 0
            return {
                "a-b": {"failed": "it died"} if first else None,
                "c-d": fields | lie if first else None,
                "e-f": {"skipped": "no io_uring here"} if first else None,
            }.get(cell.contestant.name, fields)

        text = rendered(results_of(plan, fates))
        self.assertIn("FAILED: a-b failed in S2", text)
        self.assertIn("CONVICTED: c-d answered wrongly in S2", text)
        self.assertIn("another&#x27;s bytes", text)
        self.assertIn("skipped</td><td class=words>no io_uring here", text)
        self.assertNotIn("broken off", text)

    def test_what_was_not_measured_is_not_drawn(self):
        plan = sample.plan_of((ONE, OTHER), (*sample.SWEPT, *sample.IDLE))
        names = ("p50", "p90", "p99", "p99.9", "max")

        def too_few_samples(cell, fields):
            fields["load"] = {"percentiles_us": []}
            return fields | {"latency_us": dict.fromkeys(names)}

        def nothing_seen(cell, fields):
            return fields | {
                "calls_per_request": None, "switches_per_s": None,
                "memory": None, "server_cpu_us": None,
            }  # fmt: skip

        for change, there in (
            (too_few_samples, {"load", "cpu", "calls", "idle"}),
            (nothing_seen, {"latency", "load"}),
        ):
            with tempfile.TemporaryDirectory() as folder:
                results = results_of(plan, change)
                found = figures.build(results)
                self.assertEqual({f.name for f in found if f.views}, there)
                command.write(results, found, "FILE", pathlib.Path(folder))
                terminal.show(results, found, io.StringIO())

    def test_a_run_that_was_broken_off_says_how_to_go_on(self):
        def until(cell, fields):
            return fields if cell.block < 2 else None

        text = rendered(results_of(change=until))
        self.assertIn("18 of 30 cells are missing", text)
        self.assertIn("bench/compare --resume FILE", text)


class Files(unittest.TestCase):
    """bench/report, in this process."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.results = self.folder / "results.jsonl"
        self.page = self.folder / "out" / "index.html"

    def report(self, *arguments, code=0):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            out = ["--out", str(self.page.parent)]
            got = command.main([str(self.results), *out, *arguments])
        self.assertEqual(got, code, said.getvalue())
        return said.getvalue()

    def without_gnuplot(self):
        return mock.patch.object(plots, "PROGRAM", "no-such-program")

    def test_a_torn_line_is_no_obstacle(self):
        sample.write(self.results, sample.lines_of(TWO)[:8])
        with open(self.results, "a") as file:
            file.write('{"kind": "cell", "bl')
        with self.without_gnuplot():
            said = self.report()
        self.assertTrue(said.endswith(f"report: {self.page}\n"))
        self.assertIn("23 of 30 cells are missing", self.page.read_text())

    def test_a_run_that_was_gone_on_with_is_one_run(self):
        lines = sample.lines_of(TWO)
        lines.insert(9, {**lines[0], "kind": "resumed"})
        sample.write(self.results, lines)
        with self.without_gnuplot():
            self.report()
        self.assertNotIn("broken off", self.page.read_text())

    def test_other_files_are_refused_with_a_sentence(self):
        for text in ("", "{}\n", '{"kind": "plan"}\n',
                     '{"kind": "plan", "plan": {"names": []}}\n'):  # fmt: skip
            self.results.write_text(text)
            said = self.report(code=2)
            self.assertTrue(said.startswith("bench/report: "), said)
            self.assertEqual(said.count("\n"), 1)
        sample.write(self.results, sample.lines_of(TWO))
        self.assertIn("there is S2", self.report("--scenario", "S9", code=2))

    def test_without_gnuplot_there_is_a_page_and_a_remedy(self):
        sample.write(self.results, sample.lines_of(TWO))
        old = self.page.parent / "figures" / "cpu.png"
        old.parent.mkdir(parents=True)
        old.touch()
        with self.without_gnuplot():
            said = self.report()
        self.assertRegex(said, r"\nnot drawn: latency.svg, .*gnuplot is "
                         "missing; type: sudo apt-get install")  # fmt: skip
        self.assertFalse(old.exists())
        self.assertIn("gnuplot-nox", self.page.read_text())
        self.assertNotIn('href="figures', self.page.read_text())

    @unittest.skipUnless(plots.available(), "gnuplot is missing")
    def test_gnuplot_draws_what_can_be_drawn(self):
        plan = sample.plan_of((ONE, EVIL, "50%_{x}"), ("S2",))
        sample.write(self.results, sample.lines_of(plan))
        self.report()
        names = sorted(p.name for p in (self.page.parent / "figures").iterdir())
        self.assertEqual(names, ["calls.png", "calls.svg", "cpu.png", "cpu.svg",
                                 "latency.png", "latency.svg"])  # fmt: skip
        drawn = (self.page.parent / "figures" / "latency.svg").read_text()
        self.assertIn("_keyentry", drawn)
        self.assertIn("gnuplot_svg = function", drawn)
        self.assertNotRegex(drawn, r"(src|href)=[\"'](?!data:|#)")
        self.assertIn("<title>Latency by percentile, S2", drawn)
        self.assertIn("<desc>How long do most", drawn)
        self.assertIn("50%_{x}", drawn)
        self.assertIn('href="figures/latency.svg"', self.page.read_text())

    def test_a_drawing_that_fails_is_told_and_no_more(self):
        sample.write(self.results, sample.lines_of(TWO))
        with mock.patch.object(plots, "PROGRAM", "false"):
            self.assertIn("not drawn: latency.svg", self.report())
        self.assertTrue(self.page.exists())


class Reader(html.parser.HTMLParser):
    """Which elements there are, and their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


class Page(unittest.TestCase):
    def evil(self):
        plan = sample.plan_of((ONE, EVIL), ("S2",))

        def poisoned(cell, fields):
            fields |= {"calls_per_request": {EVIL: 1.0}}
            return fields | {"verdict": "INVALID", "reason": EVIL}

        lines = sample.lines_of(plan, poisoned)
        lines[0]["machine"]["processor"] = lines[0]["placement"] = EVIL
        lines[0]["commit"] = EVIL
        lines[-1] = {**lines[-1], "failed": EVIL}
        return lines

    def test_takes_nothing_for_markup_that_comes_from_the_results(self):
        text = rendered(Results(self.evil()))
        tags = [tag for tag, _ in Reader(text).found]
        self.assertEqual(tags.count("script"), 2)
        self.assertNotIn("<script>window", text)
        numbers = re.search(r'id="numbers">(.*?)</script>', text, re.S).group(1)
        self.assertIn(EVIL[:8], json.dumps(json.loads(numbers)))

    def test_needs_nothing_else(self):
        text = rendered(results_of())
        for tag, attributes in Reader(text).found:
            self.assertNotIn(tag, ("link", "img", "iframe", "object", "base"))
            self.assertNotIn("src", attributes)
            target = attributes.get("href", "#")
            self.assertTrue(target.startswith("#"), target)
        self.assertNotRegex(text, r"https?:|url\(|@import|fetch\(")

    def test_is_small_with_22_variants(self):
        everything = (*sample.SWEPT, "S1", *sample.IDLE, "S4", "S5", "S6")
        plan = sample.plan_of(sample.TWENTY_TWO, everything, blocks=2)
        results = results_of(plan)
        text = rendered(results)
        self.assertLessEqual(len(text.encode()), page.BYTES_MAX)
        for name in sample.TWENTY_TWO:
            self.assertGreaterEqual(text.count(f">{name}</th>"), 5, name)
        self.assertIn("To keep this page small", text)

    def test_has_all_scenarios_where_there_is_room(self):
        results = results_of(sample.plan_of((ONE, OTHER), ("S1", "S2", "S5")))
        text = rendered(results)
        self.assertIn("The same in S2: 64 connection", text)
        self.assertNotIn("To keep this page small", text)

    def test_links_lead_somewhere(self):
        found = Reader(rendered(results_of())).found
        ids = [a["id"] for _, a in found if "id" in a]
        self.assertEqual(len(ids), len(set(ids)))
        for tag, attributes in found:
            if tag in ("a", "use"):
                self.assertIn(attributes["href"][1:], ids)

    def test_every_figure_says_what_it_shows(self):
        text = rendered(results_of(sample.plan_of((ONE, OTHER))))
        self.assertEqual(text.count('<p class="question">'), 5)
        captions = re.findall("<figcaption>(.*?)</figcaption>", text)
        self.assertGreaterEqual(len(captions), 5)
        for said in captions:
            for part in ("Unit: ", "lower is better", "n = 10 cells",
                         "Machine: ", "the least"):  # fmt: skip
                self.assertIn(part, said.replace("The spread", "the least"))

    def test_text_can_be_read_on_its_ground(self):
        style = (page.HERE / "page.css").read_text()
        schemes = re.findall(r":root \{(.*?)\}", style, re.S)
        self.assertEqual(len(schemes), 2)
        for scheme in schemes:
            colours = dict(re.findall(r"--(\w+): (#\w+)", scheme))
            for ink in ("ink", "soft", "mark", "warn"):
                for ground in ("paper", "wash"):
                    ratio = contrast(colours[ink], colours[ground])
                    self.assertGreaterEqual(ratio, 4.5, (ink, ground))


def contrast(one, other):
    """Of two colours (Web Content Accessibility Guidelines 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    digits = colour[1:]
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4
              for p in parts]  # fmt: skip
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear))


class Drawing(unittest.TestCase):
    def panel(self, count):
        curves = [
            Curve(f"server-{k}", k, {x: Spread(x + k, x, x + 2 * k, 5)
                                     for x in (1, 10, 100)})
            for k in range(count)
        ]  # fmt: skip
        axis = Axis("across", "log", ((1, "1"), (10, "10"), (100, "100")))
        return Panel("Title", Axis("up", "log"), tuple(curves), axis)

    def drawn(self, count):
        return drawing.draw(self.panel(count), "said", "key", "server-0")

    def test_lines_differ_without_colour(self):
        text = self.drawn(8)
        markers = set(re.findall(r'href="#(m\d)"', text))
        self.assertEqual(len(markers), 8)
        style = (page.HERE / "page.css").read_text()
        rule = r"\.c(\d) \.line \{ stroke-dasharray: (.*?) \}"
        dashes = dict(re.findall(rule, style))
        self.assertEqual(len(set(dashes.values())), 7)

    def test_names_at_the_lines_ends_do_not_overlap(self):
        text = self.drawn(8)
        ys = sorted(float(y) for y in re.findall(
            r'<text x="[\d.]+" y="([\d.]+)" class="name"', text))  # fmt: skip
        self.assertEqual(len(ys), 8)
        for above, below in zip(ys, ys[1:]):
            self.assertGreaterEqual(below - above, drawing.LABEL_GAP - 0.1)

    def test_many_have_a_drawing_each(self):
        text = self.drawn(22)
        for k in range(22):
            self.assertEqual(text.count(f">server-{k}<"), 2)
        self.assertEqual(text.count('class="s panel"'), 2 * 22)

    def test_says_what_it_is(self):
        self.assertEqual(self.drawn(2).count("<title"), 2)
        self.assertIn("<desc", self.drawn(2))

    def test_scales_hold_all_numbers(self):
        for values in ([1], [0.003, 0.9], [5, 5.1], [1, 1e6], [17, 950], [0]):
            for scale in (scales.Linear(values), scales.Logarithmic(values)):
                known = [v for v in values if v > 0] or [1]
                places = [scale.place(v) for v in known]
                self.assertGreaterEqual(min(places), 0)
                self.assertLessEqual(max(places), 1.0000001)
                self.assertGreaterEqual(len(scale.ticks), 2)
                self.assertLessEqual(len(scale.ticks), scales.TICKS_MAX + 1)

    def test_equal_decades_of_the_tail_are_equally_far_apart(self):
        scale = scales.Tail([0, 99.9])
        places = [scale.place(p) for p in (0, 90, 99, 99.9)]
        for place, wanted in zip(places, (0, 1 / 3, 2 / 3, 1)):
            self.assertAlmostEqual(place, wanted)

    def test_numbers_have_three_digits(self):
        for value, text in ((0.0093, "0.0093"), (0.0152, "0.015"), (2, "2.00"),
                            (12.46, "12.5"), (99.97, "100"), (528.4, "528"),
                            (107478, "107 478"), (None, "–")):  # fmt: skip
            shown = scales.digits(value).replace(scales.THIN_SPACE, " ")
            self.assertEqual(shown, text)


class StillFigures(unittest.TestCase):
    """SVG and PNG for a write-up keep what the page marks."""

    def script(self, kind, **more):
        spread = Spread(50, 40, 60, 7, **more)
        curve = Curve("one", 0, {50: Spread(5, 4, 6, 7), 99: spread})
        axis = Axis("across", "tail", ((50, "50 %"), (99, "99 %")))
        panel = Panel("Latency", Axis("us", "log"), (curve,), axis)
        figure = dataclasses.replace(
            figure_of(results_of(RATED), "latency"), views=()
        )
        view = dataclasses.replace(
            figure_of(results_of(RATED), "latency").views[0], panels=(panel,)
        )
        figure = dataclasses.replace(figure, views=(view,))
        return plots.script(figure, "source", kind, "PATH")

    def test_have_hollow_points_and_say_what_they_are(self):
        for kind in plots.KINDS:
            self.assertNotIn("Hollow", self.script(kind))
            self.assertNotIn("D0x0h", self.script(kind))
            for mark in ("invalid", "bound"):
                text = self.script(kind, **{mark: True})
                self.assertIn("Hollow: of INVALID cells alone (~)", text)
                self.assertIn("$D0x0h << EOD\n100 50\nEOD", text)

    def test_have_no_pointer_where_they_are_pictures(self):
        self.assertIn("the pointer reads", self.script("svg"))
        self.assertNotIn("pointer", self.script("png"))

    def test_a_heading_has_as_many_lines_as_it_takes(self):
        said = "CPU time: microseconds per request, lower is better"
        one = drawing.heading(said, drawing.WIDTHS[drawing.WIDE])
        two = drawing.heading(said, drawing.WIDTHS[drawing.NARROW])
        self.assertEqual((one.count("<text"), two.count("<text")), (1, 2))

    def test_zero_has_a_place_among_dots(self):
        scale = scales.scale_of([0, 5, 5000], "dots")
        self.assertIsInstance(scale, scales.Linear)
        self.assertEqual(scale.place(0), 0)


class Quoting(unittest.TestCase):
    def test_a_text_stays_a_text(self):
        self.assertEqual(plots.quoted("it's"), "'it''s'")
        self.assertEqual(plots.quoted("a\nb\x1b"), "'a b '")

    @unittest.skipUnless(plots.available(), "gnuplot is missing")
    def test_gnuplot_runs_nothing_that_comes_from_the_results(self):
        with tempfile.TemporaryDirectory() as folder:
            bait = pathlib.Path(folder) / "bait"
            name = f"'; system('touch {bait}'); x='`touch {bait}`"
            plan = sample.plan_of((ONE, name), ("S2",))
            found = figures.build(results_of(plan))
            with mock.patch.object(drawing, "short", str):
                plots.draw(found, name, pathlib.Path(folder) / "figures")
            self.assertFalse(bait.exists())


class Terminal(unittest.TestCase):
    class Tty(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    def shown(self, results, out, **environment):
        environment = {"NO_COLOR": "", "TERM": "xterm"} | environment
        with mock.patch.dict(os.environ, environment):
            terminal.show(results, figures.build(results), out)
        return out.getvalue()

    def test_has_80_columns_of_all_figures(self):
        results = results_of(sample.plan_of(sample.TWENTY_TWO, blocks=2))
        out = self.Tty()
        text = self.shown(results, out, NO_COLOR="1")
        for line in text.splitlines():
            self.assertLessEqual(len(line), 80, line)
        for name in sample.TWENTY_TWO:
            self.assertGreaterEqual(text.count(f"\n{name}"), 6)
        self.assertRegex(text, "[▁▂▃▄▅▆▇█]{3}")

    def test_is_bold_on_a_terminal_alone(self):
        results = results_of()
        self.assertIn("\x1b[1m1. Latency", self.shown(results, self.Tty()))
        for out, environment in (
            (self.Tty(), {"NO_COLOR": "1"}), (self.Tty(), {"TERM": "dumb"}),
            (io.StringIO(), {}),
        ):  # fmt: skip
            self.assertNotIn("\x1b", self.shown(results, out, **environment))

    def test_names_cannot_command_it(self):
        plan = sample.plan_of((ONE, EVIL), ("S2",))
        self.assertNotIn("\x1b", self.shown(results_of(plan), io.StringIO()))

    def test_is_ascii_where_nothing_else_can_be_written(self):
        out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        with mock.patch.dict(os.environ, {"NO_COLOR": ""}):
            results = results_of()
            terminal.show(results, figures.build(results), out)
        out.flush()
        text = out.buffer.getvalue().decode("ascii")
        self.assertIn("CPU time: ", text)

    def test_commands_may_be_pasted(self):
        text = self.shown(results_of(), io.StringIO())
        command_lines = re.search(r"  bench/compare --sweep(.*\\\n)+.*", text)
        self.assertTrue(command_lines.group().endswith("--report build/report"))


class Rates(unittest.TestCase):
    def test_belong_to_a_scenario(self):
        found = scenarios.find("S2@5000")
        self.assertEqual((found.rate, found.metric), (5000.0, TAIL))
        words_of = found.arguments(2, 1)
        self.assertEqual(words_of[words_of.index("--rate") + 1], "5000.0")
        self.assertNotIn("--depth", words_of)
        for wrong in ("S2@", "S2@0", "S2@-1", "S2@1e3", "S5@100", "S10@5",
                      "S2@5@5", "S99@5"):  # fmt: skip
            with self.assertRaises(KeyError, msg=wrong):
                scenarios.find(wrong)

    def test_do_not_count_as_sizes_of_idle_connections(self):
        plan = sample.plan_of((ONE,), ("S3-10", "S3-1000", "S3-1000@500"))
        results = results_of(plan)
        self.assertIsNotNone(results.bytes_per_idle(ONE, "own"))


if __name__ == "__main__":
    unittest.main()
