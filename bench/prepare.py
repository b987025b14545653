"""What a program finds when it begins, put right before anything else: whoever
started it may have left it without standard streams, deaf to the end of its
children, or with a locale in which half of our signs cannot be written.
"""

import os
import signal
import sys

STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
CANNOT_RUN = 77
PROC = "/proc/self/stat"


def process():
    """The first thing that every program does."""
    open_streams()
    # Where it is ignored, a child leaves no word of how it ended, and
    # subprocess takes that for an exit code of 0.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # A sign that cannot be shown costs that sign, not the line or the table.
    sys.stdout.reconfigure(errors="replace")


def open_streams():
    """A standard stream that is closed becomes /dev/null: else the next socket
    gets its number, and what we say to people is sent to a peer."""
    for number, (name, mode) in enumerate(STREAMS):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)
            setattr(sys, name, stream)


def require_proc(program, path=PROC):
    """Ends who cannot see what servers use, and could not even end them."""
    if os.path.exists(path):
        return
    print(
        f"{program}: there is no /proc, where the kernel tells of processes; "
        "type: mount -t proc proc /proc",
        file=sys.stderr,
    )
    sys.exit(CANNOT_RUN)
