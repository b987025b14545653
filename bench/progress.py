"""What is shown while it runs: a line that is painted anew on a terminal, and a
line for each cell everywhere else."""

import time

import lanes
from plan import spell_seconds
from results import fault

BAR = 20


class Progress:
    """`expected` is how long a cell should take, in seconds, until some have
    shown how long they do."""

    def __init__(self, out, total, expected):
        self._out = out
        self._repaints = out.isatty()
        self._total, self._expected = total, expected
        self._done = 0
        self._began = time.monotonic()

    def begin(self, cell):
        if self._repaints:
            self._paint(describe(cell))

    def end(self, cell, said):
        self._done += 1
        if self._repaints:
            self._paint(f"{describe(cell)}: {said}")
        else:
            self.say(f"{self._done}/{self._total} {describe(cell)}: {said}")

    def leave_out(self):
        """A cell that is not measured after all."""
        self._total -= 1

    def say(self, text):
        """A line that stays."""
        self.clear()
        print(text, file=self._out, flush=True)

    def clear(self):
        if self._repaints:
            print("\r\x1b[K", end="", file=self._out, flush=True)

    def seconds_left(self):
        spent = time.monotonic() - self._began
        each = spent / self._done if self._done else self._expected
        return (self._total - self._done) * each

    def _paint(self, text):
        filled = BAR * self._done // max(self._total, 1)
        bar = "#" * filled + "." * (BAR - filled)
        left = spell_seconds(self.seconds_left())
        line = f"[{bar}] {self._done}/{self._total}, {left} left, {text}"
        # A line that goes on in the next row is not painted over.
        columns = max(lanes.size_of(self._out).columns - 1, 1)
        print(f"\r\x1b[K{line[:columns]}", end="", file=self._out, flush=True)


def describe(cell):
    return f"{cell.scenario} block {cell.block + 1} {cell.contestant.label}"


def describe_result(fields):
    """One cell's result in some words."""
    for kind in ("skipped", "failed"):
        if kind in fields:
            return f"{kind.upper()}: {fields[kind]}"
    if "rate" not in fields:
        spent = fields["spent_s"]
        return f"{spent['server'] * 1e6 / spent['at']:.0f} us of CPU a second"
    p99 = fields["latency_us"]["p99"]
    said = f"{fields['rate']:.0f}/s"
    if p99 is not None:
        said += f", p99 {p99:.0f} us"
    if fields["errors"]:
        return f"{said}, {fault(fields)}: {fields['first_error']}"
    if fields["verdict"] != "VALID":
        return f"{said}, {fields['verdict']}: {fields['reason']}"
    return said
