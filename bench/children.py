"""No process is left behind, however the run ends.

A signal may come between the start of a process and the line that would
remember it. So the last word is not a list of our own: all children are asked
for and ended by their numbers, and theirs with them, who become ours when their
parent has ended (prctl(2), PR_SET_CHILD_SUBREAPER).
"""

import contextlib
import ctypes
import os
import signal
import time

import observe

PR_SET_CHILD_SUBREAPER = 36
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_SECONDS = 4  # a server may take 2 s to end its conversations


class Interrupted(BaseException):
    """One of SIGNALS; `number` is which."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def supervised():
    """Within it the first of SIGNALS raises Interrupted, and further ones do
    nothing, for what they ask for is being done. One that is ignored from the
    start (nohup) stays so. On leaving it, all processes that have been started
    are ended."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

    def interrupt(number, _):
        for known in before:
            signal.signal(known, signal.SIG_IGN)
        raise Interrupted(number)

    before = {}
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        end_all()
        for number, handler in before.items():
            signal.signal(number, handler)


def end_all():
    """Ends every child: SIGTERM, and SIGKILL for who takes too long."""
    kill_from = time.monotonic() + PATIENCE_SECONDS
    asked = set()
    while children := observe.children_of(os.getpid()):
        late = time.monotonic() > kill_from
        for pid in children:
            if late or pid not in asked:
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                asked.add(pid)
        reap()
        time.sleep(0.01)


def reap():
    """Takes note of the children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
