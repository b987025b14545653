"""The report as text of at most 80 columns, with small curves in it.

On a terminal headings are bold, unless NO_COLOR is set; into a file or a pipe
goes nothing but text. Where blocks and the micro sign cannot be written, ASCII
takes their place."""

import os
import textwrap

import table
from results import CPU, MEMORY, RATE, REST_CPU, TAIL
from table import short

from . import figures, machine, scales
from .model import Spread

WIDTH = 80
NAME = 20
BAR = 8
RATES_MAX = 6
SENTENCES = 4
BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-=+*%#"
IN_ASCII = str.maketrans(
    BLOCKS + "\N{MICRO SIGN}\N{EN DASH}", ASCII_BLOCKS + "u-"
)
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


def show(results, found, out):
    """Prints all figures to a text file."""
    bold = is_coloured(out)
    blocks = can_write(out, BLOCKS)
    for line, is_heading in lines(results, found):
        line = printable(line)
        if not blocks:
            line = line.translate(IN_ASCII)
            line = line.encode("ascii", "replace").decode()
        line = line.rstrip()
        print(f"{BOLD}{line}{PLAIN}" if bold and is_heading else line, file=out)


def is_coloured(out):
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return out.isatty() and not plain


def can_write(out, text):
    try:
        text.encode(getattr(out, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def printable(text):
    return table.printable(text.replace(scales.THIN_SPACE, " "))


def wrapped(text, indent=""):
    for line in textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent
    ):
        yield line, False


def lines(results, found):
    """(line, whether it is a heading)"""
    yield from wrapped(machine.line(results))
    for number, figure in enumerate(found, 1):
        yield "", False
        yield f"{number}. {figure.title}", True
        yield from wrapped(figure.question)
        if figure.missing:
            yield from wrapped(f"No figure: {figure.missing.why} Measure it:")
            yield from command(figure.missing.command)
            continue
        shown = figure.views[0]
        yield from wrapped(f"{shown.title}. {shown.count}.")
        yield from wrapped(f"Unit: {figure.unit}")
        yield "", False
        for line in BODIES[figure.name](results, shown):
            yield line, False
        for said in shown.said[:SENTENCES]:
            yield from wrapped(said, "  ")
    yield from left_out(results)


def left_out(results):
    absent = list(results.absent())
    if absent:
        yield "", False
        yield "What does not count", True
    for scenario, label, count, why in absent:
        yield from wrapped(f"{short(label)} in {scenario}: {count}: {why}")


def command(text):
    """As it may be pasted into a shell."""
    pieces = text.replace(" --", "\n--").split("\n")
    rows = [pieces[0]]
    for piece in pieces[1:]:
        if len(rows[-1]) + len(piece) + 5 > WIDTH:
            rows.append("  " + piece)
        else:
            rows[-1] += " " + piece
    yield from ((f"  {row} \\", False) for row in rows[:-1])
    yield f"  {rows[-1]}", False


# ---- The figures' bodies -----------------------------------------------------


def name_of(label):
    return f"{short(label)[:NAME]:<{NAME}}"


def spark(curve, scale):
    """A block for each number: the higher the later, on one scale for all."""
    said = ""
    for _, found in sorted(curve.points.items()):
        height = scale.place(found.median) * (len(BLOCKS) - 1)
        said += BLOCKS[max(0, min(round(height), len(BLOCKS) - 1))]
    return said


def common_scale(curves):
    values = [s.median for c in curves for s in c.points.values()]
    return scales.scale_of(values, "log")


def three(value):
    """At most six letters: 1 870, 13.2k."""
    if value is None:
        return "\N{EN DASH}"
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value / 1e3:.3g}k" if value >= 1e4 else scales.digits(value)


def cell(found):
    if not isinstance(found, Spread):
        return three(found)
    return table.mark_of(found).replace(" ", "") + three(found.median)


def latency(results, shown):
    curves = shown.panels[0].curves
    scale = common_scale(curves)
    wanted = (50, 90, 99)
    heads = "".join(f"{f'{p} %':>8}" for p in wanted)
    yield f"{'':<{NAME}}{heads}  0..99.9  99 %: verdict"
    for curve in curves:
        numbers = "".join(f"{cell(curve.points.get(p)):>8}" for p in wanted)
        points = {p: s for p, s in curve.points.items() if p <= 99.9}
        line = spark(thinned(curve, points), scale)
        verdict = results.verdict(shown.scenario, curve.label, TAIL)
        yield f"{name_of(curve.label)}{numbers}  {line:<{BAR}} {verdict}"


def thinned(curve, points):
    """At most BAR of them, the tail at any rate."""
    tail = [p for p in sorted(points) if p >= 50]
    chosen = tail if len(tail) <= BAR else [
        p for p in (0, 50, 75, 90, 95, 99, 99.5, 99.9) if p in points
    ]  # fmt: skip
    return type(curve)(
        curve.label, curve.style, {p: points[p] for p in chosen}
    )


def load(results, shown):
    if shown.panels[0].x is None:
        searched = results.plan.bound_us is not None
        yield from dotted(results, shown, RATE if searched else CPU)
        return
    curves = shown.panels[0].curves
    scale = common_scale(curves)
    rates = sorted({rate for c in curves for rate in c.points})
    step = -(-len(rates) // RATES_MAX)
    wanted = rates[::-1][::step][::-1]
    heads = "".join(f"{scales.brief(rate):>8}" for rate in wanted)
    yield f"{'':<{NAME}}{heads}  curve"
    for curve in curves:
        numbers = "".join(f"{cell(curve.points.get(r)):>8}" for r in wanted)
        yield f"{name_of(curve.label)}{numbers}  {spark(curve, scale)}"


def cpu(results, shown):
    yield from dotted(results, shown, CPU)


def dotted(results, shown, metric):
    """A bar for each, as long as its median is great."""
    curves = shown.panels[0].curves
    yield (f"{'':<{NAME}}{'median':>8}  {'least..greatest':<16}{'':<{BAR}} "
           "verdict")  # fmt: skip
    medians = [c.points[0].median for c in curves if c.points]
    greatest = max(medians, default=0) or 1
    for curve in curves:
        found = curve.points.get(0)
        if found is None:
            yield f"{name_of(curve.label)}{three(None):>8}"
            continue
        spread = f"{three(found.low)}..{three(found.high)}"
        bar = "█" * max(1, round(BAR * found.median / greatest))
        verdict = results.verdict(shown.scenario, curve.label, metric)
        yield (f"{name_of(curve.label)}{cell(found):>8}  {spread:<16}"
               f"{bar:<{BAR}} {verdict}")  # fmt: skip


def calls(results, shown):
    switches = {c.label: c.points.get(0) for c in shown.panels[1].curves}
    yield f"{'':<{NAME}}{'calls':>7}{'switches':>10}  of the calls"
    room = WIDTH - NAME - 19
    for curve in shown.panels[0].curves:
        named = figures.by_name(results, shown.scenario, curve.label) or ""
        named = textwrap.shorten(named, room, placeholder=" ..")
        yield (f"{name_of(curve.label)}{cell(curve.points.get(0)):>7}"
               f"{cell(switches.get(curve.label)):>10}  {named}")  # fmt: skip


def idle(results, shown):
    if shown.panels[0].x is None:
        at_rest = len(shown.panels) == 1
        yield from dotted(results, shown, REST_CPU if at_rest else CPU)
        return
    time, memory = shown.panels
    sizes = [size for size, _ in time.x.ticks]
    for panel, metric in ((time, CPU), (memory, MEMORY)):
        scale = common_scale(panel.curves)
        step = -(-len(sizes) // 3)
        wanted = sizes[::-1][::step][::-1]
        heads = "".join(f"{scales.brief(size):>8}" for size in wanted)
        yield f"{panel.title:<{NAME}}{heads}{'':<5} verdict"
        for curve in panel.curves:
            numbers = "".join(f"{cell(curve.points.get(s)):>8}" for s in wanted)
            verdict = results.verdict(shown.scenario, curve.label, metric)
            yield (f"{name_of(curve.label)}{numbers} "
                   f"{spark(curve, scale)[:4]:<4} {verdict}")  # fmt: skip


BODIES = {"latency": latency, "load": load, "cpu": cpu, "calls": calls,
          "idle": idle}  # fmt: skip
