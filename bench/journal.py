"""The raw results: a JSON object a line, written as they come.

The first line describes the machine and the plan, each further one a cell. What
is on the disk when a run is broken off, in whatever way, can be gone on with:
the plan's cells that are there are not measured again.
"""

import fcntl
import json
import os

PLAN, RESUMED, CELL = "plan", "resumed", "cell"


class Unusable(Exception):
    """A file is not a run's results, or not those of this run."""


class Journal:
    """Appends to a file, which is nobody else's meanwhile. What it holds already
    is in `lines`, and `torn` says whether its last line was not whole: the next
    one takes its place. Raises Unusable, OSError."""

    def __init__(self, path, resume):
        self.path = path
        self.lines, self.torn = [], False
        if not resume:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "r+b" if resume else "xb", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if resume:
                self.lines, end = parse(path)
                self.torn = end < self._file.seek(0, os.SEEK_END)
                self._file.seek(end)
        except BlockingIOError:
            self._file.close()
            raise Unusable(f"{path}: another run writes there") from None
        except BaseException:
            self._file.close()
            raise

    def write(self, kind, **fields):
        """The line is in `lines` even if the disk is full."""
        line = {"kind": kind, **fields}
        self.lines.append(line)
        self._file.truncate(self._file.tell())
        text = json.dumps(line).encode() + b"\n"
        while text:
            text = text[self._file.write(text) :]

    def close(self):
        self._file.close()


def parse(path):
    """The objects of all whole lines, and where the last one of them ends.
    Raises Unusable where a line that is not the last is none, or the first
    is no plan; OSError."""
    lines, end = [], 0
    with open(path, "rb") as file:
        for text in file:
            line = parse_line(text)
            if line is None:
                break
            lines.append(line)
            end += len(text)
        if file.read(1):
            raise Unusable(f"{path}: line {len(lines) + 1} is broken")
    if not lines or lines[0].get("kind") != PLAN:
        raise Unusable(f"{path} does not begin with a plan: it is not of "
                       "bench/compare")  # fmt: skip
    return lines, end


def parse_line(text):
    """The object, or None if it was not written to its end."""
    if not text.endswith(b"\n"):
        return None
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def cells(lines):
    return [line for line in lines if line["kind"] == CELL]


def key(line):
    """As Cell.key."""
    return line["block"], line["visit"], line["scenario"], line["contestant"]
