"""The page's drawings, as SVG: lines with their names at the end, dots with
bars, and small ones side by side where there are too many lines for one.

Everything is drawn twice, wide and narrow, and the page shows the one that
fits. What tells lines apart is name, dash and marker; colour only helps."""

import html
import textwrap

from table import mark_of, short

from . import scales

LINES_MAX = 8  # in one drawing
LABEL_GAP = 14
LETTER = 6.8  # pixels, of the width of most letters at most
STYLES = 8
WIDE, NARROW = "wide", "narrow"
WIDTHS = {WIDE: 720, NARROW: 336}
MARKERS = (
    "M-4,0a4,4 0 1 0 8,0a4,4 0 1 0 -8,0",  # circle
    "M-3.6,-3.6h7.2v7.2h-7.2z",  # square
    "M0,-4.6L4.4,3.4H-4.4z",  # triangle
    "M0,-5L4.4,0L0,5L-4.4,0z",  # diamond
    "M0,4.6L4.4,-3.4H-4.4z",  # triangle, upside down
    "M-1.4,-4.4h2.8v3h3v2.8h-3v3h-2.8v-3h-3v-2.8h3z",  # plus
    "M0,-4.8L4.6,-1.4L2.8,4H-2.8L-4.6,-1.4z",  # pentagon
    "M-4.6,-2.2h9.2v4.4h-9.2z",  # bar
)


def text(x, y, said, **attributes):
    extra = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items()
    )
    return f'<text x="{x:.4g}" y="{y:.4g}"{extra}>{html.escape(said)}</text>'


def line(x1, y1, x2, y2, name):
    return f'<path class="{name}" d="M{x1:.4g},{y1:.4g}L{x2:.4g},{y2:.4g}"/>'


def definitions():
    """The markers, once in a page."""
    shapes = "".join(
        f'<path id="m{number}" d="{shape}"/>'
        for number, shape in enumerate(MARKERS)
    )
    return (
        '<svg width="0" height="0" aria-hidden="true"><defs>'
        f"{shapes}</defs></svg>"
    )


def swatch(style):
    """A line of the key."""
    k = style % STYLES
    return (
        f'<svg class="swatch c{k}" width="44" height="14" aria-hidden="true">'
        '<path class="line" d="M1,7H43"/>'
        f'<use href="#m{k}" x="22" y="7"/></svg>'
    )


class Frame:
    """The area of a drawing and what surrounds it."""

    def __init__(self, left, top, width, height):
        self.left, self.top = left, top
        self.width, self.height = width, height
        self.right, self.bottom = left + width, top + height

    def x(self, place):
        return self.left + place * self.width

    def y(self, place):
        return self.bottom - place * self.height


def document(panel, described, size, key, height, body, steps=()):
    """The svg element. `steps` are the places of the numbers on its x axis,
    for the page's script."""
    only, *_ = size.split()
    name = html.escape(f"{key}-{only}")
    places = " ".join(f"{x:.1f}" for x in steps)
    return (
        f'<svg class="chart {size}" role="img" '
        f'viewBox="0 0 {WIDTHS[only]} {height:.0f}" '
        f'aria-labelledby="{name}-t {name}-d" data-steps="{places}">'
        f'<title id="{name}-t">{html.escape(panel.title)}</title>'
        f'<desc id="{name}-d">{html.escape(described)}</desc>{body}</svg>'
    )


def draw(panel, described, key, reference, sizes=(WIDE, NARROW)):
    """All sizes, as one text."""
    if panel.x is None:
        how = dots
    elif len(visible(panel)) > LINES_MAX:
        how = multiples
    else:
        how = lines
    return "".join(
        how(panel, described, size, key, reference) for size in sizes
    )


def visible(panel):
    """Curves that have something to show, without the reference's second."""
    return [c for c in panel.curves if c.points and not c.ghost]


def numbers(curves):
    return [n for c in curves for s in c.points.values()
            for n in (s.low, s.median, s.high)]  # fmt: skip


def steps_of(panel):
    return sorted({x for c in panel.curves for x in c.points})


def horizontal(panel, steps):
    if panel.x.scale == "tail":
        return scales.Tail(steps)
    if panel.x.scale == "log":
        return scales.Logarithmic(steps)
    return scales.Linear(steps)


# ---- Lines -------------------------------------------------------------------


def lines(panel, described, size, key, reference):
    wide = size == WIDE
    frame = Frame(*((52, 26, 510, 290) if wide else (44, 40, 282, 260)))
    curves, steps = visible(panel), steps_of(panel)
    x_scale = Inset(horizontal(panel, steps))
    y_scale = scales.scale_of(numbers(curves), panel.y.scale)
    body = axes(frame, panel, x_scale, y_scale, WIDTHS[size])
    for place, one in enumerate(curves):
        dodge = 1.6 * (place - (len(curves) - 1) / 2)
        body += series(one, frame, x_scale, y_scale, dodge, marked(panel))
    if wide:
        body += end_labels(curves, frame, x_scale, y_scale)
    body += f'<path class="cursor" d="M0,{frame.top}V{frame.bottom}"/>'
    places = [frame.x(x_scale.place(step)) for step in steps]
    return document(
        panel, described, size, key, frame.bottom + 44, body, places
    )


class Inset:
    """A scale whose ends do not lie on the edges."""

    def __init__(self, scale):
        self._scale = scale

    def place(self, value):
        return 0.025 + 0.95 * self._scale.place(value)


def marked(panel):
    """Where markers and bars are: at the numbers that the axis names."""
    return {number for number, _ in panel.x.ticks}


def heading(said, width):
    """Above a drawing, in two lines where it is narrow."""
    rows = textwrap.wrap(said, int(width / LETTER))
    return "".join(text(0, 12 + 14 * place, row, class_="axis")
                   for place, row in enumerate(rows))  # fmt: skip


def axes(frame, panel, x_scale, y_scale, width):
    parts = [heading(f"{panel.title}: {panel.y.title}", width)]
    for tick in y_scale.ticks:
        y = frame.y(y_scale.place(tick))
        parts.append(line(frame.left, y, frame.right, y, "grid"))
        parts.append(text(frame.left - 6, y + 4, scales.brief(tick),
                          class_="tick", text_anchor="end"))  # fmt: skip
    for x, said in readable_ticks(frame, panel, x_scale):
        parts.append(line(x, frame.bottom, x, frame.bottom + 5, "grid"))
        middle = min(x, width - LETTER / 2 * len(said))
        parts.append(text(middle, frame.bottom + 18, said, class_="tick",
                          text_anchor="middle"))  # fmt: skip
    parts.append(line(frame.left, frame.bottom, frame.right, frame.bottom,
                      "base"))  # fmt: skip
    half = LETTER * len(panel.x.title) / 2
    middle = min(frame.left + frame.width / 2, width - half)
    parts.append(text(max(middle, half), frame.bottom + 37, panel.x.title,
                      class_="axis", text_anchor="middle"))  # fmt: skip
    return "".join(parts)


def readable_ticks(frame, panel, x_scale, letter=6.5):
    """Those that have room beside the one before."""
    free = -1e9
    for number, said in panel.x.ticks:
        x = frame.x(x_scale.place(number))
        half = letter * len(said) / 2
        if x - half > free:
            free = x + half + 4
            yield x, said


def series(one, frame, x_scale, y_scale, dodge, marks):
    k = one.style % STYLES
    points = sorted(one.points.items())
    at = [(frame.x(x_scale.place(x)), frame.y(y_scale.place(s.median)))
          for x, s in points]  # fmt: skip
    path = "L".join(f"{x:.1f},{y:.1f}" for x, y in at)
    bars = "".join(
        f"M{px + dodge:.1f},{frame.y(y_scale.place(s.low)):.1f}"
        f"V{frame.y(y_scale.place(s.high)):.1f}"
        for (px, _), (x, s) in zip(at, points) if x in marks
    )
    hollow = ' class="hollow"'
    shapes = "".join(
        f'<use href="#m{k}" x="{px:.1f}" y="{py:.1f}"'
        f"{'' if s.is_exact else hollow}/>"
        for (px, py), (x, s) in zip(at, points) if x in marks
    )
    return (
        f'<g class="s c{k}" data-s="{one.style}">'
        f'<path class="bar" d="{bars}"/>'
        f'<path class="line" d="M{path}"/>{shapes}</g>'
    )


def end_labels(curves, frame, x_scale, y_scale):
    """A name behind each line, as far apart as it takes to read them."""
    ends = []
    for one in curves:
        last = max(one.points)
        y = frame.y(y_scale.place(one.points[last].median))
        ends.append([y, frame.x(x_scale.place(last)), y, one])
    ends.sort(key=lambda end: end[0])
    spread_out([*ends], frame.top + 4, frame.bottom)
    said = ""
    for y, x, from_y, one in ends:
        to_x = frame.right + 14
        said += (
            f'<g class="s c{one.style % STYLES}" data-s="{one.style}">'
            '<path class="leader" '
            f'd="M{x + 5:.1f},{from_y:.1f}L{to_x},{y:.1f}"/>'
            + text(to_x + 3, y + 4, short(one.label), class_="name")
            + "</g>"
        )
    return said


def spread_out(ends, top, bottom):
    """Moves the first entries, which are sorted, LABEL_GAP apart."""
    for before, end in zip(ends, ends[1:]):
        end[0] = max(end[0], before[0] + LABEL_GAP)
    floor = bottom
    for end in reversed(ends):
        end[0] = max(min(end[0], floor), top)
        floor = end[0] - LABEL_GAP


# ---- Small multiples ---------------------------------------------------------


def multiples(panel, described, size, key, reference):
    """One for each curve, among all others in grey, the best first. What all
    have in common is drawn once and used everywhere."""
    wide = size == WIDE
    columns, height = (4, 104) if wide else (2, 96)
    width = (WIDTHS[size] - 40) / columns
    curves, steps = visible(panel), steps_of(panel)
    inner = Frame(0, 0, width - 16, height - 34)
    scales_there = (
        horizontal(panel, steps),
        scales.scale_of(numbers_of_medians(curves), panel.y.scale),
    )
    name = html.escape(f"{key}-{size}")
    body = heading(f"{panel.title}: {panel.y.title}", WIDTHS[size])
    body += behind(curves, inner, scales_there, name, reference)
    for place, one in enumerate(curves):
        at = 40 + place % columns * width, 42 + place // columns * height
        body += small(one, at, name)
        if place % columns == 0:
            body += left_ticks(inner, at, scales_there[1])
        if place >= len(curves) - columns:
            body += lower_ticks(inner, at, panel, scales_there[0])
    bottom = 58 + -(-len(curves) // columns) * height
    body += text(WIDTHS[size] / 2, bottom, panel.x.title, class_="axis",
                 text_anchor="middle")  # fmt: skip
    places = [inner.x(scales_there[0].place(step)) for step in steps]
    return document(panel, described, f"{size} many", key, bottom + 8, body,
                    places)  # fmt: skip


def behind(curves, inner, scales_there, name, reference):
    """Grid, all curves, the reference, and the line at which is read off."""
    x_scale, y_scale = scales_there
    grid = "".join(
        line(0, y, inner.right, y, "grid")
        for y in (inner.y(y_scale.place(tick)) for tick in y_scale.ticks)
    )
    paths = "".join(
        f'<path id="{name}-{c.style}" data-s="{c.style}" '
        f'd="{path_of(c, inner, x_scale, y_scale)}"/>'
        for c in curves
    )
    base = next((c for c in curves if c.label == reference), None)
    dashed = (
        f'<use class="base-line" href="#{name}-{base.style}"/>' if base else ""
    )
    cursor = f'<path class="cursor" d="M0,0V{inner.bottom}"/>'
    return (
        f'<defs><g id="{name}-all">{grid}<g class="others">{paths}</g>'
        f"{dashed}{cursor}</g></defs>"
    )


def numbers_of_medians(curves):
    return [s.median for c in curves for s in c.points.values()]


def path_of(one, frame, x_scale, y_scale):
    points = [
        (frame.x(x_scale.place(x)), frame.y(y_scale.place(s.median)))
        for x, s in sorted(one.points.items())
    ]
    return "M" + "L".join(f"{x:.0f},{y:.0f}" for x, y in points)


def small(one, at, name):
    return (
        f'<g class="s panel" data-s="{one.style}" '
        f'transform="translate({at[0]:.0f},{at[1]:.0f})">'
        + text(0, -6, short(one.label), class_="name")
        + f'<use href="#{name}-all"/>'
        f'<use class="own" href="#{name}-{one.style}"/></g>'
    )


def left_ticks(inner, at, y_scale):
    ticks = y_scale.ticks
    return "".join(
        text(at[0] - 4, at[1] + inner.y(y_scale.place(tick)) + 4,
             scales.brief(tick), class_="tick", text_anchor="end")
        for tick in (ticks[0], ticks[len(ticks) // 2], ticks[-1])
    )  # fmt: skip


def lower_ticks(inner, at, panel, x_scale):
    return "".join(
        text(at[0] + x, at[1] + inner.bottom + 15, said.replace(" %", ""),
             class_="tick", text_anchor="middle")
        for x, said in readable_ticks(inner, panel, x_scale)
    )  # fmt: skip


# ---- Dots --------------------------------------------------------------------


def dots(panel, described, size, key, reference):
    """A row for each, with its name and number: median, least and greatest."""
    wide = size == WIDE
    curves = [c for c in panel.curves if c.points]
    row = 24 if wide else 36
    frame = Frame(*((170, 30, 430, row * len(curves)) if wide
                    else (8, 44, 312, row * len(curves))))  # fmt: skip
    scale = scales.scale_of(numbers(curves), "dots")
    body = heading(axis_title(panel, scale), WIDTHS[size])
    body += dot_grid(frame, scale)
    base = next((c.points[0].median for c in curves
                 if c.label == reference and not c.ghost), None)  # fmt: skip
    if base is not None:
        x = frame.x(scale.place(base))
        body += line(x, frame.top, x, frame.bottom, "base-line")
    for place, one in enumerate(curves):
        y = frame.top + row * (place + 0.5)
        body += dot(one, frame, scale, y, wide)
    return document(panel, described, size, key, frame.bottom + 26, body)


def axis_title(panel, scale):
    said = f"{panel.title}: {panel.y.title}"
    if isinstance(scale, scales.Logarithmic):
        said += " (logarithmic)"
    return said


def dot_grid(frame, scale):
    parts = []
    for tick in scale.ticks:
        x = frame.x(scale.place(tick))
        parts.append(line(x, frame.top, x, frame.bottom, "grid"))
        parts.append(text(x, frame.bottom + 16, scales.brief(tick),
                          class_="tick", text_anchor="middle"))  # fmt: skip
    return "".join(parts)


def dot(one, frame, scale, y, wide):
    found = one.points[0]
    low, middle, high = (frame.x(scale.place(v)) for v in
                         (found.low, found.median, found.high))  # fmt: skip
    value = mark_of(found) + scales.digits(found.median)
    name = short(one.label)
    if wide:
        words = text(frame.left - 10, y + 4, name, class_="name",
                     text_anchor="end")  # fmt: skip
        words += text(WIDTHS[WIDE] - 4, y + 4, value, class_="value",
                      text_anchor="end")  # fmt: skip
    else:
        words = text(0, y - 4, name, class_="name")
        words += text(WIDTHS[NARROW], y - 4, value, class_="value",
                      text_anchor="end")  # fmt: skip
        y += 7
    hollow = one.ghost or not found.is_exact
    shape = ' class="hollow"' if hollow else ""
    # How far beyond a bound the truth lies is open.
    arrow = f"M{middle + 7:.1f},{y - 4:.1f}l6,4l-6,4" if found.bound else ""
    return (
        f'<g class="s dot" data-s="{one.style}">{words}'
        f'<path class="bar" d="M{low:.1f},{y:.1f}H{high:.1f}'
        f'M{low:.1f},{y - 4:.1f}v8M{high:.1f},{y - 4:.1f}v8{arrow}"/>'
        f'<circle{shape} cx="{middle:.1f}" cy="{y:.1f}" r="4.5"/></g>'
    )
