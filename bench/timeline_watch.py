"""Threads of a server that make no call of ours: the C library's helpers for
POSIX AIO, the kernel's for a ring. Nothing in the program counts what they do,
so it takes a tracer from outside to see it: the kernel's scheduler (root's
alone), which tells when a thread ran, or strace, which tells its calls, where a
process may trace its own children. The kernel's workers make no calls: strace
does not see them.
"""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import timeline_events as events
from timeline_events import RUNS, Call, Thread

RAN_US = 20  # who ran for less has done nothing but start or end
KERNELS = "iou-"  # how io_uring names its threads
BUFFER_KB = 8192
PATIENCE_SECONDS = 2


def helpers(exchange):
    """{number: Task} of those that ran while the client asked, and of which no
    trace tells."""
    traced = {thread.tid for thread in exchange.server}
    return {
        tid: task
        for tid, task in exchange.tasks.items()
        if tid not in traced and task.ran >= RAN_US
    }


def is_kernels(task):
    return task.name.startswith(KERNELS)


def find_watcher(found):
    """The one that shows most of these helpers; None if none may be used."""
    kernels = any(is_kernels(task) for task in found.values())
    users = any(not is_kernels(task) for task in found.values())
    if kernels and can_watch_scheduler():
        return Scheduler
    if users and can_strace():
        return Strace
    return Scheduler if can_watch_scheduler() else None


# ---- strace ------------------------------------------------------------------

LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)")
WHOLE = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?).*<(\d+\.\d+)>")
BEGUN = re.compile(r"(\w+)\((.*) <unfinished \.\.\.>")
RESUMED = re.compile(r"<\.\.\. (\w+) resumed>.*\) += (-?\d+|\?).*<(\d+\.\d+)>")


def can_strace():
    if not shutil.which("strace"):
        return False
    tried = subprocess.run(
        ["strace", "-o", "/dev/null", "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    return tried.returncode == 0


class Strace:
    """Below it the server is some ten times slower."""

    title = "under strace, which makes the server much slower"

    def __init__(self):
        handle, path = tempfile.mkstemp(prefix="timeline-strace-")
        os.close(handle)
        self._path = pathlib.Path(path)
        # As a grandchild, so that the server is what was started.
        self.wrapper = ["strace", "-D", "-f", "-ttt", "-T", "-o", path]
        # It has the time of day.
        self._behind = time.time() - time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._path.unlink(missing_ok=True)

    def threads(self, found):
        """Those of `found` as lanes."""
        text = self._whole()
        calls = read_strace(text.splitlines(), self._behind)
        return [
            Thread(events.SERVER, 0, tid, task.name, calls[tid])
            for tid, task in found.items()
            if tid in calls
        ]


    def _whole(self):
        """What it has written, once it has written of the server's end."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            text = self._path.read_text("utf-8", "replace")
            pid, _, rest = text.partition(" ")
            if re.search(rf"^{pid} .*\+\+\+ (exited|killed)", rest, re.M):
                return text
            if time.monotonic() > give_up:
                return text
            time.sleep(0.01)


def read_strace(lines, behind):
    """{thread: its calls}; whether they slept strace does not tell."""
    calls, begun = {}, {}
    for line in lines:
        if not (parts := LINE.match(line)):
            continue
        tid, at, text = int(parts[1]), float(parts[2]) - behind, parts[3]
        if half := BEGUN.match(text):
            begun[tid] = at, half[1], half[2]
            continue
        if whole := WHOLE.match(text):
            name, words, result, took = whole.groups()
        elif (rest := RESUMED.match(text)) and tid in begun:
            at, name, words = begun.pop(tid)
            _, result, took = rest.groups()
        else:
            continue
        calls.setdefault(tid, []).append(
            call_of(name, words, result, at, float(took))
        )
    return calls


def call_of(name, words, result, at, took):
    first = words.split(",")[0]
    return Call(
        name,
        at * 1e6,
        (at + took) * 1e6,
        int(result) if result != "?" else 0,
        int(first) if first.isdigit() and "," in words else None,
        asleep=None,
    )


# ---- The scheduler -----------------------------------------------------------

SWITCH = re.compile(
    r"\] \S+ +(\d+\.\d+): sched_switch: .*prev_pid=(\d+) .*next_pid=(\d+) "
)


@contextlib.contextmanager
def tracing_folder():
    """The kernel's tracing, in a place of our own (tracefs)."""
    place = tempfile.mkdtemp(prefix="timeline-tracefs-")
    try:
        mount(place)
        try:
            yield pathlib.Path(place)
        finally:
            subprocess.run(["umount", place], capture_output=True)
    finally:
        # Should it still be mounted, nothing of the kernel's is removed.
        with contextlib.suppress(OSError):
            os.rmdir(place)


def mount(place):
    done = subprocess.run(
        ["mount", "-t", "tracefs", "nodev", place],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode != 0:
        raise PermissionError(done.stderr.strip())


def can_watch_scheduler():
    try:
        with tracing_folder() as folder:
            event = folder / "events/sched/sched_switch/enable"
            return os.access(event, os.W_OK)
    except OSError:
        return False


class Scheduler:
    """It notes each time that a CPU goes from one thread to another."""

    title = "with the kernel's scheduler watched"
    wrapper = ()

    def __init__(self):
        self._stack = contextlib.ExitStack()
        self._text = ""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tracing_folder())
            own = folder / f"instances/timeline-{os.getpid()}"
            own.mkdir()
            stack.callback(own.rmdir)
            (own / "trace_clock").write_text("mono", "utf-8")
            (own / "buffer_size_kb").write_text(str(BUFFER_KB), "utf-8")
            (own / "events/sched/sched_switch/enable").write_text("1", "utf-8")
            self._own = own
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def threads(self, found):
        (self._own / "tracing_on").write_text("0", "utf-8")
        text = (self._own / "trace").read_text("utf-8", "replace")
        runs = read_switches(text.splitlines(), set(found))
        return [
            Thread(events.SERVER, 0, tid, task.name, runs[tid])
            for tid, task in found.items()
            if tid in runs
        ]


def read_switches(lines, tids):
    """{thread: calls named RUNS}, asleep in between. Who was running already
    when the notes begin, or still is when they end, ran from there or to
    there."""
    switches = [
        (float(found[1]) * 1e6, int(found[2]), int(found[3]))
        for found in map(SWITCH.search, lines)
        if found
    ]
    runs, since, left = {}, {}, {}

    def leave(tid, at):
        begin = since.pop(tid, switches[0][0])
        slept = begin - left.get(tid, begin)
        runs.setdefault(tid, []).append(
            Call(RUNS, begin, at, asleep_before=slept)
        )
        left[tid] = at

    for at, before, after in switches:
        if before in tids and (before in since or before not in left):
            leave(before, at)
        if after in tids:
            since[after] = at
    for tid in list(since):
        leave(tid, switches[-1][0])
    return runs
