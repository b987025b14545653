"""bench/report: shows the results of bench/compare.

Prints tables and small curves for the terminal and writes a page that needs
nothing else, with figures for a write-up beside it where gnuplot is there.
"""

import argparse
import os
import pathlib
import sys

import atomic
import contestants
import journal
from results import Results

from . import figures, machine, page, plots, terminal

WRONG_ARGUMENTS = 2
OUT = pathlib.Path("build/report")
PUBLISHED = contestants.ROOT / "docs/results/full.jsonl"


def make_parser():
    parser = argparse.ArgumentParser(
        prog="bench/report",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "results",
        type=pathlib.Path,
        metavar="RESULTS",
        nargs="?",
        help="what bench/compare wrote (default: the newest in build/bench,\n"
        "else docs/results/full.jsonl)",
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=OUT,
        metavar="DIR",
        help=f"where page and figures go (default: {OUT})",
    )
    parser.add_argument(
        "--scenario",
        metavar="NAME",
        help="the one that stands in front (default: S2, else the first)",
    )
    return parser


def write(results, found, source, out):
    """Writes the page and its figures into a folder; what to print: warnings,
    and the page's path as the last line. Raises OSError."""
    out.mkdir(parents=True, exist_ok=True)
    files, said = draw(results, found, out / "figures")
    path = out / "index.html"
    whole = page.render(results, found, source, files, said)
    atomic.write(path, whole)
    return [*said, f"report: {path}"]


def draw(results, found, folder):
    """The files by figure, and why there are none."""
    try:
        if plots.available():
            return plots.draw(found, machine.line(results), folder), []
        why = f"gnuplot is missing; type: {plots.REMEDY}"
    except plots.Trouble as trouble:
        why = f"gnuplot: {trouble}"
    plots.remove(found, folder)
    names = [f"{f.name}.svg, {f.name}.png" for f in found if f.views]
    return None, [f"not drawn: {', '.join(names)} ({why})"]


def write_after(lines, source, out):
    """For bench/compare: whatever is wrong with a report, it does not hide how
    the measuring went. Whether it is there."""
    written = False
    try:
        results = Results(lines)
        said = write(results, figures.build(results), source, out)
        written = True
    except Exception as error:
        said = [f"no report: {type(error).__name__}: {error}"]
    print("\n".join(said))
    return written


def main(arguments):
    options = make_parser().parse_args(arguments)
    try:
        if options.results is None:
            options.results = newest()
            print(f"{options.results}:\n")
        results = Results(journal.parse(options.results)[0])
        found = figures.build(results, options.scenario)
        terminal.show(results, found, sys.stdout)
        said = write(results, found, options.results, options.out)
        print("\n" + "\n".join(said), flush=True)
    except BrokenPipeError:
        sys.stderr.close()  # who reads has seen enough
        return 1
    except (journal.Unusable, OSError, ValueError) as error:
        return wrong(error)
    except (KeyError, TypeError, AttributeError) as error:
        return wrong(f"{options.results}: not written by bench/compare "
                     f"({type(error).__name__}: {error})")  # fmt: skip
    return 0


def newest(folder=contestants.SCRATCH, else_=PUBLISHED):
    """The results of the last run here, or else those that were published.
    Raises ValueError if there are none."""
    found = sorted(folder.glob("compare-*.jsonl"), key=os.path.getmtime)
    for path in (*reversed(found), else_):
        if path.exists():
            return path
    raise ValueError(f"no results: neither {folder}/compare-*.jsonl nor {else_};"
                     " bench/compare --quick makes some")  # fmt: skip


def wrong(said):
    print(f"bench/report: {terminal.printable(str(said))}", file=sys.stderr)
    return WRONG_ARGUMENTS
