"""Reports in headless Chromium, opened from a file and without a network. What
is asked of them stands in tests/browser/promises.mjs; here are the pages, and
one in which each promise is broken."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import browser  # noqa: E402  (after the line that keeps the tree clean)
import sample_results as sample  # noqa: E402
from reporting import command, figures  # noqa: E402
from results import Results  # noqa: E402

OPENING = pathlib.Path(__file__).resolve().parent / "report-opening"
EVIL = '</script><script>window.harmed=1</script>"><img src=x>'
SEVEN, MANY, FEW, BROKEN = "seven", "many", "few", "broken"
# Keys are pressed one by one: that takes its time on a page of many.
QUICK = "quiet,narrow,whole,switched,named,harmless,equals"
ALL = QUICK + ",keyboard,readable,drawings"
ALL_BUT_KEYS = QUICK + ",readable,drawings"
SOME = ("S2", *sample.SWEPT[1:4], *sample.IDLE[1:])


def setUpModule():
    if reason := browser.missing():
        raise unittest.SkipTest(reason)


def poisoned(cell, fields):
    """Some are INVALID, and what some are known to do is a bound."""
    limit = "load" if cell.block else None
    load = fields["load"] | {"limited_by": limit}
    return fields | {"verdict": "INVALID", "reason": EVIL, "load": load}


def write(folder, plan, change=lambda cell, fields: fields):
    """A report of made-up results; its page."""
    results = Results(sample.lines_of(plan, change))
    command.write(results, figures.build(results), EVIL, folder)
    return folder / "index.html"


def broken(text):
    """The page with each of its promises broken."""
    for good, bad in (
        ("<h1>", '<img alt="" src="x.png"><p>'),
        ("</h1>", "</p>"),
        ('class="axis">', 'class="axis" dx="999">'),
        ("outline: 3px solid", "outline: 0 solid"),
        (".off { display: none }", ".off {}"),
        ("<small>", "<small>1"),
        ("<main>", '<main style="min-width:500px">'),
        ("row.cells[step + 1].firstChild", "row.cells[1].firstChild"),
    ):
        assert good in text, good
        text = text.replace(good, bad)
    return text


class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        seven = sample.plan_of(sample.SEVEN, SOME, blocks=3)
        many = sample.plan_of(sample.TWENTY_TWO, SOME, blocks=1)
        few = sample.plan_of(("epoll-level", EVIL), SOME[-3:], blocks=2)
        pages = {
            SEVEN: write(root / SEVEN, seven),
            MANY: write(root / MANY, many),
            FEW: write(root / FEW, few, poisoned),
        }
        pages[BROKEN] = root / "broken.html"
        pages[BROKEN].write_text(broken(pages[FEW].read_text()))
        wanted = {SEVEN: ALL_BUT_KEYS, MANY: QUICK, FEW: ALL, BROKEN: ALL}
        found = browser.run(
            "report.mjs", *(f"{wanted[n]}={path}" for n, path in pages.items())
        )
        cls.found = {name: found[str(path)] for name, path in pages.items()}

    def check(self, name, promises):
        kept = dict.fromkeys(promises.split(","), "")
        self.assertEqual(self.found[name], kept)

    def test_seven_models(self):
        self.check(SEVEN, ALL_BUT_KEYS)

    def test_22_variants(self):
        self.check(MANY, QUICK)

    def test_results_that_would_do_harm(self):
        self.check(FEW, ALL)

    def test_every_promise_can_be_broken(self):
        kept = [name for name, wrong in self.found[BROKEN].items() if not wrong]
        self.assertEqual(kept, [])

    def test_opening_is_timed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "results"
            done = subprocess.run(
                [OPENING, "--times", "1", "--results", path],
                capture_output=True,
                text=True,
                timeout=120,
            )
            # On a busy machine it takes longer than it may.
            self.assertIn(done.returncode, (0, 1), done.stderr)
            _, empty, *pages = map(json.loads, path.read_text().splitlines())
        for page in pages:
            self.assertLess(page["bytes"], 300_000)
            self.assertGreater(page["bytes"], empty["bytes"])
            for times in page["opened_ms"].values():
                self.assertGreater(times[0], 0)


if __name__ == "__main__":
    unittest.main()
