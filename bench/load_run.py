"""One run of the load: a process of its own, which says when it measures."""

import json
import os
import pathlib
import select
import subprocess
import time

import contestants
from contestants import Failed, Skipped

LINE_MEASURING, LINE_MEASURED = "measuring", "measured"
# Connecting, warming up, and awaiting what is owed at the end.
PATIENCE_SECONDS = 90
TICK_SECONDS = 0.25  # or an eighth of a measured time that is short
WRONG_ARGUMENTS, INTERRUPTED = 2, 130


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


def run(command, seconds, cpus=None, watch=None):
    """Runs the load to its end and returns the object that it writes.

    `command` is the program and its arguments, `seconds` how long it measures.
    `watch` is called with LINE_MEASURING and LINE_MEASURED when the load says
    so, and with None every now and then in between. Raises Failed if the load
    does, Skipped if it cannot run on this machine, or not do this."""
    process = subprocess.Popen(
        [*command, "--json", "-", "--quiet"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=pin_to(cpus),
    )
    try:
        said = follow(process, seconds, watch)
        return outcome(process, said)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def pin_to(cpus):
    return None if cpus is None else lambda: os.sched_setaffinity(0, cpus)


def follow(process, seconds, watch):
    """Reads its standard error to the end; what it said there."""
    give_up = time.monotonic() + seconds + PATIENCE_SECONDS
    tick = min(TICK_SECONDS, seconds / 8)
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
            if text not in (LINE_MEASURING, LINE_MEASURED):
                said += text + "\n"
                continue
            measuring = text == LINE_MEASURING
            if watch:
                watch(text)
    raise Failed(f"the load did not end in {seconds + PATIENCE_SECONDS:.0f} s")


def outcome(process, said):
    """Its object, whatever verdict is in it."""
    text = process.stdout.read().decode(errors="replace")
    code = process.wait()
    lines = said.strip().splitlines() or ["it said nothing"]
    last = lines[-1]
    if code == contestants.REFUSED:
        raise Skipped(f"the load cannot run here: {last}")
    if code == WRONG_ARGUMENTS:
        raise Skipped(f"the load refuses it: {lines[0]}")
    if code == INTERRUPTED or code < 0:
        raise Failed(f"the load ended with {code}: {last}")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "verdict" not in found:
        raise Failed(f"the load ended with {code} and no result: {last}")
    return found

