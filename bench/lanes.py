"""What a race looks like: lines made of what is known, and nothing else.

On a terminal the same lines are painted over and over; elsewhere there is one
for each turn. Colour says nothing that a sign does not say as well.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import termios

from table import number

EIGHTHS = " ▏▎▍▌▋▊▉"
VALID_MARK, INVALID_MARK, FAULT_MARK = ".", "!", "X"
RUNNING_MARK, FINISH = ">", "|"
NAME_MAX, BAR_MIN = 24, 8
RATE, CPU, CALLS = 8, 6, 6  # widths of the columns
HINT = "bar: answered so far; the fastest will be at the | in the end"
MARKS = f"turns: {VALID_MARK} valid  {INVALID_MARK} INVALID  {FAULT_MARK} out"

BOLD_GREEN, DIM, PLAIN = "\x1b[1;32m", "\x1b[2m", "\x1b[0m"
ENTER = "\x1b[?1049h\x1b[?25l"  # a screen of its own, without a cursor
LEAVE = "\x1b[?25h\x1b[?1049l"
HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


@dataclasses.dataclass(frozen=True)
class Lane:
    """A contestant: `answered` in all its turns, `rate` per second in this one
    or the median of those before, `marks` one for each turn that it has had;
    `note` why it takes no part."""

    label: str
    answered: int = 0
    rate: float | None = None
    cpu: float | None = None
    calls: float | None = None
    marks: str = ""
    running: bool = False
    note: str = ""


@dataclasses.dataclass(frozen=True)
class View:
    """A moment of the race. `full` is how many answers a whole bar is."""

    title: str
    rule: str
    lanes: tuple
    turn: int
    turns: int
    seconds_left: float
    full: float


@dataclasses.dataclass(frozen=True)
class Style:
    colour: bool
    blocks: bool  # of Unicode, an eighth of a column wide at the least


def short(label):
    """A server given by its path is called by its file."""
    return pathlib.Path(label).name[:NAME_MAX]


def bar(share, width, style):
    """A part of so many columns, always as wide as all of them."""
    share = min(max(share, 0.0), 1.0)
    if not style.blocks:
        return ("#" * int(share * width)).ljust(width)
    eighths = int(share * width * 8)
    text = "█" * (eighths // 8)
    if eighths % 8:
        text += EIGHTHS[eighths % 8]
    return text.ljust(width)


def frame(view, columns, rows, style):
    """The lines of a terminal of that size: no more, and none that is longer.
    What does not fit is left out, who runs last of all."""
    width = max(columns - 1, 1)  # the last column makes some terminals wrap
    head = [
        ends(view.title, f"turn {view.turn} of {view.turns}", width),
        ends(view.rule, f"{view.seconds_left:.0f} s left", width),
        "",
    ]
    shape = Shape.of(view, width)
    below = ["", HINT, MARKS]
    while below and len(head) + 1 + len(view.lanes) + len(below) > rows:
        below.pop()
    above = [*head, shape.heading()]
    while above and len(above) + len(view.lanes) > rows:
        above.pop()
    lanes = view.lanes
    if len(lanes) > rows:
        lanes = sorted(lanes, key=lambda lane: not lane.running)[:rows]
    lines = [clip(text, width) for text in above]
    lines += [paint(lane, shape.line(lane, view.full, style), width, style)
              for lane in lanes]  # fmt: skip
    return lines + [faint(clip(text, width), style) for text in below]


def clip(text, width):
    return text if len(text) <= width else text[: max(width - 1, 0)] + "~"


def ends(left, right, width):
    """A text at each end of a line; the left one gives way."""
    room = width - len(right) - 1
    if room < BAR_MIN:
        return clip(right, width)
    return f"{clip(left, room):<{room}} {right}"


def paint(lane, text, width, style):
    text = clip(text, width)
    shines = lane.running and style.colour
    return f"{BOLD_GREEN}{text}{PLAIN}" if shines else text


def faint(text, style):
    return f"{DIM}{text}{PLAIN}" if style.colour and text else text


@dataclasses.dataclass(frozen=True)
class Shape:
    """How wide the columns are; 0 for one that is left out."""

    name: int
    bar: int
    costs: bool
    marks: int

    @classmethod
    def of(cls, view, width):
        name = max((len(short(one.label)) for one in view.lanes), default=0)
        marks = max((len(lane.marks) for lane in view.lanes), default=0)
        marks = max(marks, len("turns"), view.turns // max(len(view.lanes), 1))
        fixed = 2 + name + 1 + 1 + RATE
        costs = 1 + CPU + 1 + CALLS + 2 + marks
        if width - fixed - costs >= BAR_MIN:
            return cls(name, width - fixed - costs, True, marks)
        if width - fixed < BAR_MIN:
            name = max(min(name, width - 2 - 1 - BAR_MIN - 1 - RATE), 6)
            fixed = 2 + name + 1 + 1 + RATE
        room = width - fixed
        return cls(name, room if room >= BAR_MIN else 0, False, 0)

    def heading(self):
        text = f"  {'':<{self.name}} {'':<{self.bar}} {'per s':>{RATE}}"
        if self.costs:
            text += f" {'CPU us':>{CPU}} {'calls':>{CALLS}}  turns"
        return text

    def line(self, lane, full, style):
        sign = RUNNING_MARK if lane.running else " "
        text = f"{sign} {clip(short(lane.label), self.name):<{self.name}} "
        if lane.note:
            return text + lane.note
        if self.bar:
            share = lane.answered / full if full else 0.0
            text += bar(share, self.bar - 1, style) + FINISH + " "
        text += number(lane.rate, RATE)
        if self.costs:
            text += f" {number(lane.cpu, CPU)} {number(lane.calls, CALLS)}"
            text += f"  {lane.marks}"
        return text.rstrip()


# ---- Where it is shown -------------------------------------------------------


def repaints(out, environment=os.environ):
    """Whether it is a terminal on which the cursor can be moved."""
    return out.isatty() and environment.get("TERM", "dumb") not in ("dumb", "")


def style_of(out, environment=os.environ):
    """By NO_COLOR (no-color.org) and the locale's encoding."""
    names = (environment.get(n) for n in ("LC_ALL", "LC_CTYPE", "LANG"))
    locale = next(filter(None, names), "").upper().replace("-", "")
    moves = repaints(out, environment)
    return Style(
        colour=moves and not environment.get("NO_COLOR"),
        blocks="UTF8" in locale,
    )


def size_of(out):
    """Columns and rows, as they are now."""
    with contextlib.suppress(OSError, ValueError):
        found = os.get_terminal_size(out.fileno())
        if found.columns and found.lines:
            return found
    return shutil.get_terminal_size()


class Terminal:
    """Paints a view over the one before, on a screen of its own, so that no
    change of its size leaves anything behind. What was there comes back when
    the `with` block is left, however that is."""

    def __init__(self, out):
        self._out = out
        self._style = style_of(out)

    def __enter__(self):
        self._keys = quiet_keys(self._out)
        self._write(ENTER)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):  # it may be the terminal that went
            self._write(LEAVE)
        if self._keys:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._out, termios.TCSADRAIN, self._keys)

    def show(self, view):
        columns, rows = size_of(self._out)
        lines = frame(view, columns, rows, self._style)
        text = "\r\n".join(line + REST_OF_LINE for line in lines)
        self._write(HOME + text + REST_OF_SCREEN)

    def say(self, text):
        """Nothing: the lanes show it."""

    def _write(self, text):
        self._out.write(text)
        self._out.flush()


def quiet_keys(out):
    """Keys write nothing into the picture, and Ctrl-Z does not stop a race
    whose clock goes on; Ctrl-C ends it as ever. What was set before, None if
    nothing can be set."""
    try:
        before, new = termios.tcgetattr(out), termios.tcgetattr(out)
    except (termios.error, OSError, ValueError):
        return None
    new[3] &= ~termios.ECHO
    new[6][termios.VSUSP] = os.fpathconf(out.fileno(), "PC_VDISABLE")
    termios.tcsetattr(out, termios.TCSADRAIN, new)
    return before


class Lines:
    """One line for each turn, and nothing that is painted over."""

    def __init__(self, out):
        self._out = out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def show(self, view):
        """Nothing: a turn is told of when it has ended."""

    def say(self, text):
        print(text, file=self._out, flush=True)


def shown_on(out):
    return Terminal(out) if repaints(out) else Lines(out)
