"""The figures for a write-up, drawn by gnuplot: SVG whose lines are switched
on and off from the key and whose coordinates are read off by the pointer, with
nothing to load, and PNG.

Nothing from the results is more to gnuplot than text between single quotes, in
which it knows no command and no escape but the quote itself.
"""

import html
import shutil
import subprocess
import textwrap

from table import mark_of, short

from . import drawing, scales

PROGRAM = "gnuplot"
REMEDY = "sudo apt-get install gnuplot-nox"
KINDS = "svg", "png"
TIME_MAX = 60  # seconds
COLOURS = ("000000", "d55e00", "0072b2", "009e73", "cc79a7", "e69f00",
           "56b4e9", "777777")  # fmt: skip
DASHES = ("solid", "(12,5)", "(3,4)", "(14,4,3,4)", "(7,4)", "(20,6)",
          "(10,3,3,3,3,3)", "(2,3)")  # fmt: skip
POINTS = (7, 5, 9, 13, 11, 1, 15, 2)
COLUMNS = 4  # of small ones
HEAD = 116  # pixels for the heading
FONT = "DejaVu Sans"


class Trouble(Exception):
    """gnuplot is there and did not do it."""


def available():
    return shutil.which(PROGRAM) is not None


def draw(figures, source, folder):
    """{figure's name: the files, relative to the page}; raises Trouble."""
    folder.mkdir(parents=True, exist_ok=True)
    remove(figures, folder)
    found, scripts = {}, []
    for figure in figures:
        for kind in KINDS:
            path = folder / f"{figure.name}.{kind}"
            if figure.views:
                scripts.append(script(figure, source, kind, path))
                found.setdefault(figure.name, []).append(
                    f"{folder.name}/{path.name}"
                )
    run("\n".join(scripts))
    for figure in figures:
        if figure.views:
            name_drawing(folder / f"{figure.name}.svg", figure)
    return found


def name_drawing(path, figure):
    """Who cannot see it is told what it is, and not by what it was drawn."""
    shown = figure.views[0]
    title = html.escape(f"{figure.title}, {shown.title}")
    described = html.escape(" ".join((figure.question, *shown.said)))
    text = path.read_text("utf-8")
    text = text.replace("<title>Gnuplot</title>", f"<title>{title}</title>", 1)
    head, desc, rest = text.partition("<desc>")
    _, end, rest = rest.partition("</desc>")
    if end:
        path.write_text(head + desc + described + end + rest, "utf-8")


def remove(figures, folder):
    """Those of an older run."""
    for figure in figures:
        for kind in KINDS:
            (folder / f"{figure.name}.{kind}").unlink(missing_ok=True)


def run(text):
    try:
        done = subprocess.run(
            [PROGRAM, "-"], input=text, capture_output=True,
            encoding="utf-8", errors="replace",
            timeout=TIME_MAX,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(str(error)) from None
    if done.returncode:
        last = done.stderr.strip().splitlines() or ["it said nothing"]
        raise Trouble(last[-1])


def quoted(text):
    """As gnuplot's string, with nothing but printable letters in it."""
    plain = "".join(c if c.isprintable() else " " for c in str(text))
    return "'" + plain.replace("'", "''") + "'"


def tick(text, at):
    """Of an axis, where a text is a format for a number."""
    return f"{quoted(text.replace('%', '%%'))} {at:g}"


def script(figure, source, kind, path):
    """All commands for one file."""
    shown = figure.views[0]
    panels = [panel for panel in shown.panels if not panel.is_empty]
    sizes = [size_of(panel) for panel in panels]
    width = max(w for w, _ in sizes)
    height = sum(h for _, h in sizes) + HEAD
    lines = [
        "reset session", "set encoding utf8", terminal(kind, width, height),
        f"set output {quoted(path)}", "set bars 0",
        "set tics nomirror font ',11'", "set border 3 lc rgb '#555555'",
        "set grid ytics lc rgb '#dddddd' lt 1", "set style fill solid",
        "set multiplot", *heading(figure, shown, source, width, height),
    ]  # fmt: skip
    top = HEAD
    for place, (panel, size) in enumerate(zip(panels, sizes)):
        area = (top, size[1], height)
        lines += panel_lines(panel, f"{place}", area, kind)
        top += size[1]
    return "\n".join([*lines, "unset multiplot", "unset output"])


def terminal(kind, width, height):
    if kind == "svg":
        return (
            f"set term svg size {width},{height} dynamic noenhanced mouse "
            f"standalone font '{FONT},12' background '#ffffff'"
        )
    return (
        f"set term pngcairo size {2 * width},{2 * height} noenhanced "
        f"fontscale 2 linewidth 2 pointscale 2 dashlength 2 font '{FONT},12'"
    )


def marks(shown):
    """What the marks are, if there are any."""
    found = [s for panel in shown.panels for one in panel.curves
             for s in one.points.values() if not s.is_exact]  # fmt: skip
    if not found:
        return ""
    return "Hollow: of INVALID cells alone (~), or at least that (>=)."


def heading(figure, shown, source, width, height):
    """Commands for lines at the top: what it is, who won, where and how often it
    was measured, and what its marks are."""
    texts = (
        (figure.title + ", " + shown.title, 12),
        (shown.said[0], 10),
        (f"{shown.count}. {source}", 8),
        (marks(shown), 8),
    )
    lines, top = [], 0
    for said, size in texts:
        for line in textwrap.wrap(said, int(width / (0.75 * size)))[:2]:
            top += size + 6
            lines.append(
                f"set label {quoted(line)} at screen {10 / width:.4f}, screen "
                f"{1 - top / height:.5f} noenhanced font ',{size}'"
            )
    return lines


def size_of(panel):
    """Width and height in pixels."""
    if panel.x is None:
        rows = sum(bool(c.points) for c in panel.curves)
        return 760, 90 + 22 * rows
    count = len(drawing.visible(panel))
    if count > drawing.LINES_MAX:
        return 960, 40 + 150 * -(-count // COLUMNS)
    return 760, 400


def panel_lines(panel, name, area, kind):
    top, height, whole = area
    place = f"set origin 0,{1 - (top + height) / whole:.5f}"
    size = f"set size 1,{height / whole:.5f}"
    if panel.x is None:
        return [place, size, *dot_lines(panel, name)]
    if len(drawing.visible(panel)) > drawing.LINES_MAX:
        return small_lines(panel, name, area)
    return [place, size, *curve_lines(panel, name, kind)]


def block(name, rows):
    """Numbers, under a name."""
    return [f"${name} << EOD", *(" ".join(map(str, r)) for r in rows), "EOD"]


def axes(panel, width, ticks_max=scales.TICKS_MAX):
    """What both kinds of line drawings have; `width` in pixels."""
    curves = drawing.visible(panel)
    steps = drawing.steps_of(panel)
    y = scales.scale_of(drawing.numbers(curves), panel.y.scale)
    log = isinstance(y, scales.Logarithmic)
    some = y.ticks[:: -(-len(y.ticks) // ticks_max)]
    places = ", ".join(tick(scales.brief(t), t) for t in some)
    x_log = panel.x.scale != "linear"
    named = ", ".join(
        tick(said, across(panel, number))
        for number, said in with_room(panel, steps, width)
    )
    first, last = across(panel, steps[0]), across(panel, steps[-1])
    margin = 1.15 if x_log else (last - first) * 0.02 or 1
    low = first / margin if x_log else first - margin
    high = last * margin if x_log else last + margin
    return [
        "set logscale y" if log else "unset logscale y",
        "set logscale x" if x_log else "unset logscale x",
        f"set yrange [{y.low:g}:{y.high:g}]", f"set xrange [{low:g}:{high:g}]",
        f"set ytics ({places})", f"set xtics ({named})",
    ]  # fmt: skip


def with_room(panel, steps, width):
    """The ticks that can be told apart."""
    scale = drawing.horizontal(panel, steps)
    frame = drawing.Frame(0, 0, width, 1)
    kept = {said for _, said in
            drawing.readable_ticks(frame, panel, scale, letter=11)}  # fmt: skip
    return [(number, said) for number, said in panel.x.ticks if said in kept]


def across(panel, x):
    """Percentiles by how many requests there are for each one beyond: so the
    pointer reads off that it is one of a hundred that takes longer."""
    return 1 / (1 - x / 100) if panel.x.scale == "tail" else x


def rows_of(panel, one):
    """With bars only where the axis has ticks: more would be a thicket."""
    marks = drawing.marked(panel)
    rows = []
    for x, s in sorted(one.points.items()):
        bar = (s.low, s.high) if x in marks else (s.median, s.median)
        numbers = (across(panel, x), s.median, *bar)
        rows.append([f"{number:.6g}" for number in numbers])
    return rows


def across_title(panel, kind):
    """Nothing reads a still picture off."""
    if panel.x.scale != "tail" or kind != "svg":
        return panel.x.title
    return panel.x.title + " (the pointer reads: all but one of so many)"


def hollow(panel, one):
    """The points that are not what they seem, to be drawn over in white."""
    marks = drawing.marked(panel)
    return [(f"{across(panel, x):.6g}", f"{s.median:.6g}")
            for x, s in sorted(one.points.items())
            if x in marks and not s.is_exact]  # fmt: skip


def curve_lines(panel, name, kind):
    curves = drawing.visible(panel)
    lines, plots = [], []
    for place, one in enumerate(curves):
        k = one.style % drawing.STYLES
        data = f"D{name}x{place}"
        lines += block(data, rows_of(panel, one))
        look = f"lc rgb '#{COLOURS[k]}' dt {DASHES[k]} lw 2"
        plots.append(
            f"${data} using 1:2:3:4 with yerrorlines {look} pt {POINTS[k]} "
            f"ps 0.7 title {quoted(short(one.label))} noenhanced"
        )
        if spots := hollow(panel, one):
            lines += block(data + "h", spots)
            plots.append(f"${data}h using 1:2 with points pt 7 ps 0.4 "
                         "lc rgb '#ffffff' notitle")  # fmt: skip
    return [
        *lines, *axes(panel, 440), "set lmargin 9",
        "set key outside right top vertical Left reverse samplen 5 font ',11'",
        f"set ylabel {quoted(panel.title + ': ' + panel.y.title)} font ',10'",
        f"set xlabel {quoted(across_title(panel, kind))} font ',10'",
        "set tmargin 1",
        "plot " + ", \\\n  ".join(plots), "unset label",
    ]  # fmt: skip


def small_lines(panel, name, area):
    """One for each, among all others in grey."""
    top, height, whole = area
    curves = drawing.visible(panel)
    rows = -(-len(curves) // COLUMNS)
    lines = []
    for place, one in enumerate(curves):
        lines += block(f"D{name}x{place}", rows_of(panel, one))
    lines += [
        *axes(panel, 170, 3), "unset key", "unset xlabel", "unset ylabel",
        f"set size {1 / COLUMNS:.5f},{(height - 40) / rows / whole:.5f}",
        "set lmargin 7", "set rmargin 1", "set tmargin 1.6", "set bmargin 2",
        f"set label 91 {quoted(panel.title + ': ' + panel.y.title)} at screen "
        f"0.01, screen {1 - (top + 10) / whole:.5f}",
        f"set label 92 {quoted(panel.x.title)} at screen 0.99, screen "
        f"{1 - (top + 10) / whole:.5f} right",
    ]  # fmt: skip
    for place, one in enumerate(curves):
        below = top + 20 + (place // COLUMNS + 1) * (height - 40) / rows
        grey = [f"$D{name}x{k} using 1:2 with lines lc rgb '#cccccc' notitle"
                for k in range(len(curves)) if k != place]  # fmt: skip
        lines += [
            f"set origin {place % COLUMNS / COLUMNS:.5f},"
            f"{1 - below / whole:.5f}",
            f"set title {quoted(short(one.label))} noenhanced font ',11' "
            "offset 0,-0.8",
            "plot " + ", \\\n  ".join([
                *grey, f"$D{name}x{place} using 1:2:3:4 with yerrorlines "
                "lc rgb '#0072b2' lw 2 pt 7 ps 0.4 notitle",
            ]),
        ]  # fmt: skip
        if place == 0:
            lines += ["unset label"]
    return [*lines, "unset title"]


def marked_name(one):
    """Who it is, and whether the dot is a bound, or of INVALID cells."""
    mark = mark_of(one.points[0]).strip()
    return f"{short(one.label)} {mark}".strip()


def dot_lines(panel, name):
    """The best at the top."""
    curves = [c for c in panel.curves if c.points][::-1]
    values = drawing.numbers(curves)
    scale = scales.scale_of(values, "dots")
    rows = [
        (f"{c.points[0].median:.6g}", place, f"{c.points[0].low:.6g}",
         f"{c.points[0].high:.6g}")
        for place, c in enumerate(curves)
    ]  # fmt: skip
    hollow = {place for place, c in enumerate(curves)
              if c.ghost or not c.points[0].is_exact}  # fmt: skip
    names = ", ".join(tick(marked_name(c), place)
                      for place, c in enumerate(curves))  # fmt: skip
    ticks = ", ".join(tick(scales.brief(t), t) for t in scale.ticks)
    log = isinstance(scale, scales.Logarithmic)
    parts = []
    for kind, point in (("full", 7), ("hollow", 6)):
        mine = [row for row in rows if (row[1] in hollow) == (kind == "hollow")]
        if mine:
            parts.append((f"D{name}{kind}", mine, point))
    lines = [line for data, mine, _ in parts for line in block(data, mine)]
    plots = [
        f"${data} using 1:2:3:4 with xerrorbars lc rgb '#0072b2' lw 1.5 "
        f"pt {point} ps 0.9 notitle"
        for data, _, point in parts
    ]  # fmt: skip
    return [
        *lines, "set logscale x" if log else "unset logscale x",
        "unset logscale y", f"set xrange [{scale.low:g}:{scale.high:g}]",
        f"set yrange [-0.6:{len(curves) - 0.4:g}]", f"set ytics ({names})",
        f"set xtics ({ticks})", "unset ylabel", "unset key",
        "set tmargin 1",
        "set grid xtics ytics lc rgb '#dddddd' lt 1", "set lmargin 26",
        f"set xlabel {quoted(drawing.axis_title(panel, scale))} font ',10'",
        "plot " + ", \\\n  ".join(plots), "unset label",
    ]  # fmt: skip
