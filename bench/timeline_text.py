"""The picture for a terminal of 80 columns.

A column is some microseconds. A call is its letter while it is awake and dots
while it is asleep, the program's own code is dashes; capitals belong to the
marked request. Colour only repeats what the letters say."""

import bisect
import dataclasses
import itertools
import os
import statistics
import textwrap

import timeline_events as events
from timeline_events import RUNS

WIDTH = 80
RARE = 0.005
LABEL = 19
COLUMNS = WIDTH - LABEL - 1

ASLEEP, UNKNOWN, OWN, LOCKED = ".", ":", "-", ","
ON_THE_WAY, ON_THE_WAY_BACK = ">", "<"
# Letters that say most; any other call takes one of its own that is free.
LETTERS = {
    "send": "s", "sendto": "s", "sendmsg": "s", "recv": "r", "recvfrom": "r",
    "recvmsg": "r", "accept4": "a", "accept": "a", "connect": "c",
    "io_uring_enter": "e", "read": "d", "write": "t", "select": "w",
    "poll": "w", "ppoll": "w", "pselect": "w", "pselect6": "w",
    "epoll_wait": "w", "epoll_pwait2": "w", "sigtimedwait": "w",
    "aio_suspend": "w", "io_getevents": "g",
    "io_submit": "b", "runs": "x",
}  # fmt: skip
GREEN, YELLOW, BLUE, MAGENTA, CYAN = "32", "33", "34", "35", "36"
COLOURS = {"s": GREEN, "r": BLUE, "w": YELLOW, "e": YELLOW, "a": MAGENTA}


@dataclasses.dataclass(frozen=True)
class Scale:
    """Where in a row a time stands. `begin` is the time of column 0."""

    begin: float
    column: float  # microseconds

    @property
    def end(self):
        return self.begin + COLUMNS * self.column

    def at(self, time):
        return (time - self.begin) / self.column


class Letters:
    """A letter for each call, the same in the whole picture."""

    def __init__(self):
        self._given = {}

    def of(self, name):
        if name not in self._given:
            self._given[name] = LETTERS.get(name) or self._free(name)
        return self._given[name]

    def _free(self, name):
        taken = {*self._given.values(), *LETTERS.values()}
        alphabet = [c for c in name if c.isalpha()] + list("klmnopquvxyzfhij")
        return next((c for c in alphabet if c not in taken), "x")

    def legend(self):
        by_letter = {}
        for name, letter in self._given.items():
            by_letter.setdefault(letter, []).append(name)
        return [
            f"{letter} {', '.join(sorted(names))}"
            for letter, names in sorted(by_letter.items())
        ]


def wants_colour(out, environment=os.environ):
    """On a terminal, unless told otherwise (no-color.org)."""
    dumb = environment.get("TERM") == "dumb"
    return out.isatty() and not environment.get("NO_COLOR") and not dumb


class Row:
    """Cells of a character and whether it belongs to the marked request."""

    def __init__(self):
        self.cells = [(" ", False)] * COLUMNS

    def put(self, first, text, marked):
        for number, character in enumerate(text, start=first):
            if 0 <= number < COLUMNS:
                self.cells[number] = (character, marked)

    def render(self, colour):
        text = "".join(
            character.upper() if marked else character
            for character, marked in self.cells
        )
        return paint(self.cells) if colour else text.rstrip()


def paint(cells):
    """The same characters; each run of equals has its colours in front."""
    painted, style, letter = "", "", ""
    for character, marked in cells:
        if character.isalpha():
            letter = character
        wanted = style_of(character, letter, marked)
        if wanted != style:
            painted += "\x1b[0m" + (f"\x1b[{wanted}m" if wanted else "")
            style = wanted
        painted += character.upper() if marked else character
    return painted + "\x1b[0m"


def style_of(character, letter, marked):
    colour = COLOURS.get(letter, CYAN)
    if character.isalpha():
        return f"1;7;{colour}" if marked else colour
    if character == ASLEEP:
        return f"2;{colour}"
    return "1" if marked and character != " " else ""


# ---- Lanes -------------------------------------------------------------------


def belongs(call, thread, request):
    """Whether a call is a part of the marked request: its bytes were moved, or
    said to be moved, in it, or it ended meanwhile."""
    if any(
        part.thread is thread and call.begin < part.end <= call.end
        for part in request.transfers
    ):
        return True
    return request.begin < call.end <= request.end


def shape(letter, columns, call):
    """Of a call: awake, asleep, awake. Where in it the sleep lies is not known;
    the kernel has some work before it and after it."""
    if call.asleep is None:
        return letter + UNKNOWN * (columns - 1)
    share = call.asleep / call.took if call.took else 0
    asleep = min(round(columns * share), max(columns - 1, 0))
    before = (columns - asleep + 1) // 2
    after = columns - asleep - before
    return letter * before + ASLEEP * asleep + letter * after


def lane(thread, scale, letters, request):
    """The row of a thread's calls, or None if it made none in this time."""
    calls = thread.calls
    first = bisect.bisect(calls, scale.begin, key=lambda call: call.end)
    end = bisect.bisect_left(calls, scale.end, key=lambda call: call.begin)
    if first >= end:
        return None
    row, free = Row(), 0
    for number in range(first, end):
        call = calls[number]
        left = max(round(scale.at(call.begin)), free)
        right = max(round(scale.at(call.end)), left + 1)
        if number:
            put_gap(row, free, left, call, calls[number - 1], request)
        text = shape(letters.of(call.name), right - left, call)
        if call.begin < scale.begin:
            text = clip(call, scale, letters, right)
        row.put(left, text, belongs(call, thread, request))
        free = right
    if end < len(calls):
        put_gap(row, free, COLUMNS, calls[end], calls[end - 1], request)
    return row


def clip(call, scale, letters, end):
    """One that began before the picture: its letter and what is left of it."""
    letter = letters.of(call.name)
    whole = max(round(call.took / scale.column), end)
    return letter + shape(letter, whole, call)[-end:][1:]


def put_gap(row, first, end, call, before, request):
    """Between two calls: its own code, or asleep for a lock, say."""
    gap = call.begin - before.end
    if end <= first or gap <= 0:
        return
    mark = OWN
    if call.asleep_before is None:
        mark = UNKNOWN
    elif call.asleep_before > gap / 2:
        mark = LOCKED
    inside = request.begin <= before.end and call.begin <= request.end
    row.put(first, mark * (end - first), inside)


def asked_lanes(thread, scale, request):
    """A row for each operation that the kernel was left with: [ where it was
    asked, | at each result, ] where it was done. And the names of those that
    were asked before and are done after all this."""
    rows, staying = {}, set()
    for asked in thread.asked:
        end = asked.end if asked.end is not None else scale.end
        if end < scale.begin or asked.begin > scale.end:
            continue
        times = [asked.begin, *(time for time, _ in asked.results)]
        if any(scale.begin <= time <= scale.end for time in times):
            row = rows.setdefault(asked.name, Row())
            put_asked(row, asked, end, scale, request)
        else:
            staying.add(asked.name)
    return rows, sorted(staying - rows.keys())


def put_asked(row, asked, end, scale, request):
    first, last = round(scale.at(asked.begin)), round(scale.at(end))
    last = max(last, first + 1)
    for column in range(max(first, 0), min(last, COLUMNS - 1) + 1):
        time = scale.begin + column * scale.column
        row.put(column, "~", request.begin <= time <= request.end)
    row.put(first, "[", request.begin <= asked.begin <= request.end)
    for time, _ in asked.results:
        mark = "]" if time == asked.end else "|"
        inside = request.begin <= time <= request.end
        row.put(max(round(scale.at(time)), first + 1), mark, inside)


def way_row(request, scale):
    """From each side's send to the other side's having it."""
    row = Row()
    for out, into, mark in (
        (request.client_out[0], request.server_in[-1], ON_THE_WAY),
        (request.server_out[0], request.client_in[-1], ON_THE_WAY_BACK),
    ):
        first = round(scale.at(out.begin))
        row.put(first, mark * (round(scale.at(into.end)) - first), True)
    return row


def request_row(request, scale):
    first, end = round(scale.at(request.begin)), round(scale.at(request.end))
    width = max(end - first - 2, 0)
    return " " * first + f"[{f' {request.took:.1f} us ':=^{width}}]"


# ---- The whole ---------------------------------------------------------------


def nice(value):
    """The next of 1, 2, 5, 10, 20, 50, ... that is not below."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if factor * step >= value:
                return factor * step
        step *= 10


def axis(scale, zero):
    """Two lines: microseconds since `zero`, and where they are."""
    step = nice(10 * scale.column)
    numbers, ticks = [" "] * (COLUMNS + 1), ["-"] * COLUMNS
    value = -(-(scale.begin - zero) // step) * step
    while (column := round(scale.at(zero + value))) < COLUMNS:
        ticks[column] = "|"
        text = f"{int(value)}"
        if column + len(text) <= COLUMNS:
            numbers[column : column + len(text)] = text
        value += step
    return [Line("us", "".join(numbers).rstrip()), Line("", "".join(ticks))]


def column_for(marked):
    """The marked request fills half of the row."""
    end = max(part.end for part in marked.transfers)
    return 2 * (end - marked.begin) / COLUMNS


def scale_for(marked, column):
    """It begins at a quarter of the row, in every picture at the same place."""
    return Scale(marked.begin - COLUMNS // 4 * column, column)


@dataclasses.dataclass
class Line:
    """A label and what stands behind it, a Row or a text."""

    label: str
    body: object

    def render(self, colour):
        body = self.body
        if isinstance(body, Row):
            body = body.render(colour)
        return f"{self.label[: LABEL - 1]:<{LABEL}}{body}"


def picture(exchange, marked, scale, letters):
    """What each thread did around the marked request; a list of Lines."""
    lines = axis(scale, marked.begin)
    lines.append(Line(f"request {marked.number}", request_row(marked, scale)))
    lines += side(exchange.client, scale, letters, marked)
    lines.append(Line("on its way", way_row(marked, scale)))
    lines += side(exchange.server, scale, letters, marked)
    return lines


def who(thread):
    name = f"{thread.role} {thread.name}"
    return name if len(name) < LABEL else thread.name


def side(threads, scale, letters, marked):
    for thread in threads:
        row = lane(thread, scale, letters, marked)
        if row is None:
            continue
        yield Line(who(thread), row)
        asked, staying = asked_lanes(thread, scale, marked)
        for name, row in asked.items():
            yield Line(f"  ring: {name}", row)
        if staying:
            yield Line("  ring, lasting", ", ".join(staying))


# ---- Call by call ------------------------------------------------------------


def table(exchange, marked):
    """The marked request's calls, in the order in which they began."""
    rows = []
    for thread in [*exchange.client, *exchange.server]:
        for call in thread.calls:
            if belongs(call, thread, marked):
                told = call.took, call.asleep, who(thread), str(call)
                rows.append((call.begin, *told))
        for asked in thread.asked:
            begin = asked.begin
            for end, result in asked.results:
                if marked.begin < end <= marked.end:
                    text = f"{asked.name}({asked.fd}) = {result}, by the ring"
                    rows.append((begin, end - begin, 0, who(thread), text))
                begin = end
    yield f"{'at us':>7} {'took us':>8} {'asleep':>7}  who and what"
    for begin, took, asleep, name, text in sorted(rows, key=lambda r: r[0]):
        slept = "?" if asleep is None else f"{asleep:.1f}" if asleep else "-"
        at = begin - marked.begin
        yield f"{at:7.1f} {took:8.1f} {slept:>7}  {name:<{LABEL}}{text}"


def steady_ones(exchange):
    """Without the beginning and the end: (a request, the one after it)."""
    return list(
        itertools.pairwise(exchange.requests[len(exchange.requests) // 4 :])
    )


def per_request(exchange):
    """{call: how many a request took of it}, on the server's side."""
    steady = steady_ones(exchange)
    begin, end = steady[0][0].begin, steady[-1][1].begin
    counts = {}
    for thread in exchange.server:
        for call in thread.calls:
            if begin < call.end <= end and call.name != RUNS:
                counts[call.name] = counts.get(call.name, 0) + 1
    return {
        name: count / len(steady)
        for name, count in counts.items()
        if count / len(steady) >= RARE
    }


def sleeps(exchange):
    """How often a known request has the server sleep in a call, as a text."""
    ends = sorted(
        call.end
        for thread in exchange.server
        for call in thread.calls
        if call.asleep and call.name != RUNS
    )
    counts = [
        bisect.bisect(ends, after.begin) - bisect.bisect(ends, request.begin)
        for request, after in steady_ones(exchange)
        if request.known
    ]
    return f"{statistics.mean(counts):.2f}" if counts else "?"


def heading(exchange, scale):
    server, client = exchange.cpus
    where = "both on the same CPU"
    if server is not None:
        where = f"server on CPU {server}, client on CPU {client}"
    if exchange.watched:
        yield f"Once more, {exchange.watched}:"
    yield f"{exchange.name}, asked by {exchange.client_name}"
    yield f"{where}; a column is {scale.column:.2g} us"


def legend(letters, lines):
    """What the marks mean that are in these lines."""
    drawn = {
        character
        for line in lines
        if isinstance(line.body, Row)
        for character, _ in line.body.cells
    }
    meanings = (
        (ASLEEP, "asleep in the call"),
        (UNKNOWN, "asleep or awake"),
        (OWN, "own code"),
        (LOCKED, "asleep, in no counted call"),
        (ON_THE_WAY, f"request and {ON_THE_WAY_BACK} answer on their way"),
        ("~", "from [ asked of the ring to | a result and ] done"),
    )
    marks = [f"{m} {meaning}" for m, meaning in meanings if m in drawn]
    return wrapped([*letters.legend(), "CAPITALS the marked request", *marks])


def unseen(exchange):
    """The threads that are not in the picture, in words."""
    for tid, task in sorted(exchange.unseen.items()):
        said = (
            f"not seen: thread {task.name} ({tid}), which ran for "
            f"{task.ran:.0f} us and made no counted call; "
            f"{exchange.why_unseen}"
        )
        yield from textwrap.wrap(said, WIDTH)
    if slept := asleep_throughout(exchange):
        said = f"{exchange.name}, asleep and not drawn: {', '.join(slept)}"
        yield from textwrap.wrap(said, WIDTH)


def asleep_throughout(exchange):
    """The server's threads that made no call during the requests, and are no
    helpers either."""
    begin, end = exchange.requests[0].begin, exchange.requests[-1].end
    busy = {
        thread.tid
        for thread in exchange.server
        if any(c.end > begin and c.begin < end for c in thread.calls)
    }
    return [
        task.name
        for tid, task in sorted(exchange.tasks.items())
        if tid not in busy and tid not in exchange.unseen
    ]


def wrapped(parts):
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + 3 + len(part) > WIDTH:
            lines.append("")
        lines[-1] += ("   " if lines[-1] else "") + part
    return lines


def summary(exchanges, marks=()):
    """What a request took, all but the first ones counted; `marks` are the ones
    that are drawn, which are near the medians and not they."""
    columns = [per_request(x) for x in exchanges]
    rows = [("calls of the server for a request", [x.name for x in exchanges])]
    for name in sorted({name for column in columns for name in column}):
        cells = [f"{c[name]:.2f}" if name in c else "-" for c in columns]
        rows.append((f"  {name}", cells))
    rows.append(("  all", [f"{sum(c.values()):.2f}" for c in columns]))
    rows.append(("  of them asleep", [sleeps(x) for x in exchanges]))
    medians = [f"{events.median_us(x.requests):.1f}" for x in exchanges]
    rows.append(("us from send to answer, the median", medians))
    drawn = [f"{marked.took:.1f}" for marked in marks]
    rows += [("us of the one that is drawn", drawn)][: len(drawn)]
    for name, cells in rows:
        yield f"{name:<36}" + "".join(f"{cell:>22}" for cell in cells)
