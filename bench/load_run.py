"""One run of the load: a process of its own, which says when it measures."""

import json
import os
import pathlib
import select
import subprocess
import tempfile
import time

import contestants
from contestants import Failed, Skipped

# What it says on standard error: that all are connected, and what follows.
LINE_WARMING = "warming"
LINE_MEASURING, LINE_MEASURED = "measuring", "measured"
LINES = LINE_WARMING, LINE_MEASURING, LINE_MEASURED
# Connecting, warming up, and awaiting what is owed at the end.
PATIENCE_SECONDS = 90
END_SECONDS = 3
VALID, INVALID, WRONG_ARGUMENTS = 0, 1, 2


def program(client):
    """The load with this client of the suite, or the path of another load.
    Without any, the one that takes the first client that works here."""
    if client and "/" in client:
        path = pathlib.Path(client).resolve()
    else:
        path = contestants.BIN / (f"load-{client}" if client else "load")
    if not os.access(path, os.X_OK):
        raise Failed(f"no load {path}")
    return str(path)


def clients():
    """The names of the suite's clients that there is a load with."""
    paths = contestants.BIN.glob("load-*-*")
    names = (path.name.removeprefix("load-") for path in paths)
    return sorted(name for name in names if not name.endswith("-mpi"))


def has_threads(program):
    """Whether it can ask from several threads, which is to be found in its
    help alone: a client that has a thread for each connection offers none."""
    done = subprocess.run(
        [program, "--help"], capture_output=True, stdin=subprocess.DEVNULL
    )
    return b" --threads" in done.stdout


def last_line(said):
    """What matters most of all that it said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def run(
    command, seconds, cpus=None, watch=None, environment=None, why=last_line
):
    """Runs the load to its end and returns the object that it writes.

    `command` is the program and its arguments, `seconds` how long it measures.
    `watch` is called with each of LINES when the load says so, and with None
    whenever its `tick` has passed in between: until then this process sleeps.
    `why` finds in what it said the reason why it failed. Raises Failed if the
    load does, Skipped if it cannot run on this machine, or not do this."""
    # A file, for what many loads have to say is more than a pipe holds.
    with tempfile.TemporaryFile() as result:
        process = subprocess.Popen(
            [*command, "--json", "-", "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=result,
            stderr=subprocess.PIPE,
            preexec_fn=pin_to(cpus),
            env=environment,
        )
        try:
            said = follow(process, seconds, watch, why)
            process.wait()
        finally:
            end(process)
            process.stderr.close()
        result.seek(0)
        return outcome(process.returncode, result.read(), said, why)


def end(process):
    """Asks it first: what starts loads on other hosts has to end them there."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def pin_to(cpus):
    return None if cpus is None else lambda: os.sched_setaffinity(0, cpus)


def follow(process, seconds, watch, why=last_line):
    """Reads its standard error to the end; what it said there."""
    give_up = time.monotonic() + seconds + PATIENCE_SECONDS
    tick = getattr(watch, "tick", None) or seconds
    said, line, measuring = "", b"", False
    while time.monotonic() < give_up:
        if not select.select([process.stderr], [], [], tick)[0]:
            if measuring and watch:
                watch(None)
            continue
        got = os.read(process.stderr.fileno(), 1 << 16)
        if not got:
            return said
        *lines, line = (line + got).split(b"\n")
        for text in (whole.decode(errors="replace").strip() for whole in lines):
            if text not in LINES:
                said += text + "\n"
                continue
            measuring = text == LINE_MEASURING
            if watch:
                watch(text)
    limit = seconds + PATIENCE_SECONDS
    raise Failed(f"the load did not end in {limit:.0f} s: {why(said)}")


def how(code):
    """As the subprocess module gives it. 128 + n is what mpirun ends with, and
    a shell, when signal n has ended their process."""
    if code > 128:
        return f"with {code} (signal {code - 128})"
    return f"by signal {-code}" if code < 0 else f"with {code}"


def outcome(code, text, said, why=last_line):
    """Its object, whatever verdict is in it."""
    reason = why(said)
    if code == contestants.REFUSED:
        raise Skipped(f"the load cannot run here: {reason}")
    if code == WRONG_ARGUMENTS:
        first = (said.splitlines() or [reason])[0]
        raise Skipped(f"the load refuses it: {first}")
    if code not in (VALID, INVALID):
        raise Failed(f"the load ended {how(code)}: {reason}")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "verdict" not in found:
        raise Failed(f"the load ended with {code} and no result: {reason}")
    return found

