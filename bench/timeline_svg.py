"""The same picture as an SVG for a page, a slide or a projector.

Colour is the kind of call, and its name stands in it or below it; solid is
awake, hatched asleep and empty not known; the marked request has an outline and
the others are pale. So nothing is said by colour alone. Every bar tells its
numbers to the pointer."""

import html

import timeline_events as events
import timeline_text as text

WIDTH, LEFT, RIGHT, MARGIN = 1000, 150, 16, 16
PLOT = WIDTH - LEFT - RIGHT
BAR, RING, WAY, AXIS, NOTE = 26, 24, 36, 40, 15
CHARACTER = 7.3  # of the font in the bars, in pixels

# Okabe and Ito's, which differ to all eyes.
GREEN, BLUE, ORANGE = "#007a5a", "#0072b2", "#a85a00"
PURPLE, GREY = "#9a4f80", "#555555"

STYLE = """
text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #111 }
.title { font-size: 19px; font-weight: 600 }
.bar, .note { font: 12px ui-monospace, "DejaVu Sans Mono", monospace }
.bar { fill: #fff; text-anchor: middle }
.on-white { fill: #111; stroke: #fff; stroke-width: 4; paint-order: stroke }
.note { text-anchor: middle }
.number { text-anchor: middle; fill: #444 }
.other { opacity: .42 }
.grid { stroke: #ddd }
.own { stroke: #333; stroke-width: 3 }
.elsewhere { stroke: #333; stroke-width: 2; stroke-dasharray: 2 5 }
.unknown { stroke: #333; stroke-width: 1; stroke-dasharray: 1 3 }
.way { stroke: #111; stroke-width: 2; stroke-dasharray: 7 4; fill: none }
"""


def kind_colour(name):
    if name in events.SENDS:
        return GREEN
    if name in events.RECEIVES:
        return BLUE
    if name in events.OPENS:
        return PURPLE
    return ORANGE if text.LETTERS.get(name) in ("w", "e", "g") else GREY


def hatch(colour):
    return "hatch" + colour.lstrip("#")


def patterns():
    yield "<defs>"
    for colour in (GREEN, BLUE, ORANGE, PURPLE, GREY):
        yield (
            f'<pattern id="{hatch(colour)}" width="7" height="7" '
            'patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<rect width="7" height="7" fill="#fff"/>'
            f'<rect width="2" height="7" fill="{colour}"/></pattern>'
        )
    yield (
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse">'
        '<path d="M0 0 8 4 0 8z" fill="#111"/></marker>'
    )
    yield "</defs>"


class Canvas:
    """Elements from top to bottom; `y` is where the next one goes."""

    def __init__(self):
        self.parts = []
        self.y = MARGIN

    def add(self, element):
        self.parts.append(element)

    def say(self, x, y, words, kind="", anchor=""):
        anchor = f' text-anchor="{anchor}"' if anchor else ""
        kind = f' class="{kind}"' if kind else ""
        self.add(
            f'<text x="{x:.1f}" y="{y:.1f}"{kind}{anchor}>'
            f"{html.escape(words)}</text>"
        )

    def rect(self, x, y, width, height, attributes, told=""):
        told = f"<title>{html.escape(told)}</title>" if told else ""
        self.add(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.8):.1f}" '
            f'height="{height}" {attributes}>{told}</rect>'
        )

    def line(self, x1, y1, x2, y2, attributes):
        self.add(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f"{attributes}/>"
        )


class Panel:
    """One exchange, drawn below what is on the canvas already."""

    def __init__(self, canvas, exchange, marked, scale):
        self.canvas, self.exchange = canvas, exchange
        self.marked, self.scale = marked, scale
        self.lanes = {}  # by thread: the y of its bars

    def x(self, time):
        place = (time - self.scale.begin) / (self.scale.end - self.scale.begin)
        return LEFT + PLOT * min(max(place, 0), 1)

    def shown(self, begin, end):
        return end > self.scale.begin and begin < self.scale.end

    def inside(self, time):
        return self.marked.begin <= time <= self.marked.end

    def draw(self):
        canvas = self.canvas
        canvas.y += 20
        canvas.say(MARGIN, canvas.y, self.exchange.name, "title")
        if self.exchange.watched:
            canvas.y += 18
            canvas.say(MARGIN, canvas.y, self.exchange.watched)
        canvas.say(WIDTH - RIGHT, canvas.y, self.counted(), anchor="end")
        canvas.y += 12
        top = canvas.y
        grid = len(canvas.parts)
        canvas.y += AXIS
        self.bracket()
        for thread in self.exchange.client:
            self.thread(thread, above=True)
        canvas.y += WAY
        for thread in self.exchange.server:
            self.thread(thread)
        self.arrows()
        below = canvas.parts[grid:]
        del canvas.parts[grid:]
        self.axis(top)
        canvas.parts += below
        canvas.y += 10

    def counted(self):
        calls = text.per_request(self.exchange)
        named = ", ".join(f"{name} {n:.2f}" for name, n in calls.items())
        total = sum(calls.values())
        return f"the server's calls for a request: {named}: {total:.2f} in all"

    def axis(self, top):
        step = text.nice(10 * self.scale.column)
        zero = self.marked.begin
        value = -int((zero - self.scale.begin) // step) * step
        self.canvas.say(LEFT - 10, top + 14, "us", anchor="end")
        while zero + value < self.scale.end:
            x = self.x(zero + value)
            self.canvas.line(x, top + 20, x, self.canvas.y - 6, 'class="grid"')
            self.canvas.say(x, top + 14, f"{value:.0f}", "number")
            value += step

    def bracket(self):
        canvas, marked = self.canvas, self.marked
        first, last, y = self.x(marked.begin), self.x(marked.end), canvas.y
        canvas.add(
            f'<path d="M{first:.1f} {y}v-9H{last:.1f}v9" fill="none" '
            'stroke="#111" stroke-width="2"/>'
        )
        words = f"request {marked.number}: {marked.took:.1f} us"
        canvas.rect(
            (first + last) / 2 - 4 * len(words), y - 20, 8 * len(words), 20,
            'fill="#fff"',
        )  # fmt: skip
        canvas.say((first + last) / 2, y - 5, words, anchor="middle")
        canvas.y += 8

    # ---- A thread

    def thread(self, thread, above=False):
        """Its bars; the names of those that are too short for them stand above
        or below."""
        calls = [c for c in thread.calls if self.shown(c.begin, c.end)]
        if not calls:
            return
        canvas, marked = self.canvas, self.marked
        own = [c for c in calls if text.belongs(c, thread, marked)]
        notes, height = self.place([c for c in own if not self.title(c)])
        y = self.lanes[id(thread)] = canvas.y + (height if above else 0)
        canvas.say(MARGIN, y + BAR / 2 - 1, thread.role)
        canvas.say(MARGIN, y + BAR / 2 + 14, thread.name)
        for before, call in zip([None, *calls], calls):
            if before:
                self.gap(before, call, y)
            self.call(call, call in own, y)
        for x, name, line in notes:
            self.note(x, name, line, y, above)
        canvas.y = y + max(BAR + (0 if above else height), BAR + 8) + 8
        self.ring(thread)

    def title(self, call):
        """What stands in its bar: as much as there is room for."""
        room = self.x(call.end) - self.x(call.begin) - 6
        words = [call.name]
        if call.asleep:
            words.insert(0, f"{call.name}, asleep")
        return next((w for w in words if CHARACTER * len(w) < room), "")

    def place(self, calls):
        """(x, name, line) of those names, none over another, and the height of
        all lines."""
        ends, notes = [], []
        for call in calls:
            x = (self.x(call.begin) + self.x(call.end)) / 2
            half = CHARACTER * len(call.name) / 2
            free = (n for n, end in enumerate(ends) if end < x - half - 4)
            line = next(free, len(ends))
            ends[line:] = [x + half, *ends[line + 1 :]]
            notes.append((x, call.name, line))
        return notes, NOTE * len(ends)

    def note(self, x, name, line, y, above):
        if above:
            base = y - 4 - NOTE * line
            self.canvas.line(x, y, x, base + 2, 'stroke="#111"')
        else:
            base = y + BAR + 12 + NOTE * line
            self.canvas.line(x, y + BAR, x, base - 9, 'stroke="#111"')
        self.canvas.say(x, base, name, "note")

    def gap(self, before, call, y):
        first, last = self.x(before.end), self.x(call.begin)
        kind = "own"
        if call.asleep_before is None:
            kind = "unknown"
        elif call.asleep_before > (call.begin - before.end) / 2:
            kind = "elsewhere"
        inside = self.inside(before.end) and self.inside(call.begin)
        self.canvas.line(
            first, y + BAR / 2, last, y + BAR / 2,
            f'class="{kind}{"" if inside else " other"}"',
        )  # fmt: skip

    def call(self, call, marked, y):
        canvas, colour = self.canvas, kind_colour(call.name)
        asleep = "?" if call.asleep is None else f"{call.asleep:.1f}"
        told = f"{call}, {call.took:.1f} us, asleep {asleep} us"
        stroke = 'stroke="#111" stroke-width="1.6"' if marked else ""
        fill = colour
        if call.asleep is None:
            fill, stroke = "#fff", stroke or f'stroke="{colour}"'
        first, last = self.x(call.begin), self.x(call.end)
        canvas.add(f'<g class="{"marked" if marked else "other"}">')
        canvas.rect(
            first, y, last - first, BAR, f'fill="{fill}" {stroke}', told
        )
        if call.asleep:
            awake = (call.took - call.asleep) / 2
            left, right = self.x(call.begin + awake), self.x(call.end - awake)
            canvas.rect(
                left, y + 1, right - left, BAR - 2,
                f'fill="url(#{hatch(colour)})"', told,
            )  # fmt: skip
        canvas.add("</g>")
        kind = "bar" if call.asleep == 0 else "bar on-white"
        if title := self.title(call):
            canvas.say((first + last) / 2, y + 17, title, kind)

    # ---- What the kernel was left with

    def ring(self, thread):
        rows, staying = {}, set()
        for asked in thread.asked:
            end = asked.end if asked.end is not None else self.scale.end + 1
            if not self.shown(asked.begin, end):
                continue
            times = [asked.begin, *(time for time, _ in asked.results)]
            if any(self.shown(time, time) for time in times):
                rows.setdefault(asked.name, []).append((asked, end))
            else:
                staying.add(asked.name)
        for name, row in rows.items():
            self.ring_row(name, row)
        if staying := sorted(staying - rows.keys()):
            words = "asked before, done later: " + ", ".join(staying)
            self.canvas.say(LEFT, self.canvas.y + 11, words)
            self.canvas.say(MARGIN + 12, self.canvas.y + 11, "ring, lasting")
            self.canvas.y += RING

    def ring_row(self, name, row):
        canvas, colour = self.canvas, kind_colour(name)
        middle = canvas.y + 8
        canvas.say(MARGIN + 12, middle + 4, f"ring: {name}")
        for asked, end in row:
            first, last = self.x(asked.begin), self.x(end)
            told = f"{name} on {asked.fd}, {end - asked.begin:.1f} us"
            canvas.rect(
                first, middle - 4, last - first, 8,
                f'fill="#fff" stroke="{colour}" stroke-width="1.6" rx="3"',
                told,
            )  # fmt: skip
            if self.shown(asked.begin, asked.begin):
                canvas.add(
                    f'<circle cx="{first:.1f}" cy="{middle}" r="5" fill="#fff" '
                    f'stroke="{colour}" stroke-width="2"/>'
                )
            for time, result in asked.results:
                if self.shown(time, time):
                    canvas.add(self.done(time, middle, colour, name, result))
        canvas.y += RING

    def done(self, time, y, colour, name, result):
        return (
            f'<path d="m{self.x(time):.1f} {y - 7} 7 7-7 7-7-7z" '
            f'fill="{colour}"><title>{html.escape(name)} is done: {result}'
            "</title></path>"
        )

    # ---- The way of the request

    def arrows(self):
        marked = self.marked
        for out, into in (
            (marked.client_out[0], marked.server_in[-1]),
            (marked.server_out[0], marked.client_in[-1]),
        ):
            here, there = (self.lanes.get(id(p.thread)) for p in (out, into))
            if here is None or there is None:
                continue
            down = there > here
            ends = (here + BAR, there) if down else (here, there + BAR)
            self.canvas.line(
                self.x(out.begin) + 2, ends[0], self.x(into.end), ends[1],
                'class="way" marker-end="url(#tip)"',
            )  # fmt: skip


def legend(canvas):
    y = canvas.y + 8
    x = MARGIN
    for draw, words in (
        (
            f'<rect x="X" y="Y" width="26" height="14" fill="{ORANGE}"/>',
            "awake",
        ),
        (
            f'<rect x="X" y="Y" width="26" height="14" stroke="{ORANGE}" '
            f'fill="url(#{hatch(ORANGE)})"/>',
            "asleep: off the CPU",
        ),
        (
            f'<rect x="X" y="Y" width="26" height="14" stroke="{ORANGE}" '
            'fill="#fff"/>',
            "not looked at",
        ),
        ('<path d="mX Yv0m0 7h26" class="unknown"/>', "code, not looked at"),
        ('<path d="mX Yv0m0 7h26" class="own"/>', "own code"),
        (
            '<path d="mX Yv0m0 7h26" class="elsewhere"/>',
            "asleep elsewhere (a lock)",
        ),
        (
            f'<g fill="#fff" stroke="{BLUE}" stroke-width="2">'
            '<rect x="X" y="Y" width="26" height="8" rx="3" '
            'transform="translate(0 3)"/></g>',
            "left to the kernel: o asked, \u25c6 done",
        ),
        ('<path d="mX Yv0m0 7h26" class="way"/>', "on its way"),
    ):
        if x + 32 + 6.6 * len(words) > WIDTH - RIGHT:
            x, y = MARGIN, y + 24
        canvas.add(draw.replace("X", str(x)).replace("Y", str(y)))
        canvas.say(x + 32, y + 12, words)
        x += 32 + 6.6 * len(words) + 16
    canvas.y = y + 30
    canvas.say(
        MARGIN, canvas.y,
        "outlined: the marked request; pale: the ones before and after it. "
        "Where in a call the sleep lies is not known: it is drawn in its "
        "middle.",
    )  # fmt: skip
    canvas.y += MARGIN


def draw(exchanges, marks, scales):
    """The whole file."""
    canvas = Canvas()
    for exchange, marked, scale in zip(exchanges, marks, scales):
        Panel(canvas, exchange, marked, scale).draw()
    legend(canvas)
    names = " and ".join(x.name for x in exchanges)
    told = [
        line for x, marked in zip(exchanges, marks)
        for line in [x.name, *text.table(x, marked)]
    ]  # fmt: skip
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
            f'aria-labelledby="title desc" viewBox="0 0 {WIDTH} {canvas.y}" '
            f'width="{WIDTH}" height="{canvas.y}" '
            'style="max-width:100%;height:auto">',
            f'<title id="title">{html.escape(names)}: what each thread does '
            "during a request</title>",
            f'<desc id="desc">{html.escape(chr(10).join(told))}</desc>',
            f"<style>{STYLE}</style>",
            *patterns(),
            f'<rect width="{WIDTH}" height="{canvas.y}" fill="#fff"/>',
            *canvas.parts,
            "</svg>\n",
        ]
    )
