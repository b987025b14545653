"""Starts and watches a server on its host, for a bench/compare on another one.

What it is asked for comes as JSON on the standard input, a line each, and is
answered on the standard output: what is seen in /proc and asked of INFO is seen
and asked here, by the same code as on one machine. When the input ends, however
that came, so does all that was started.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys

sys.dont_write_bytecode = True
import children  # noqa: E402  (after the line that keeps the tree clean)
import contestants  # noqa: E402
import measure  # noqa: E402
import observe  # noqa: E402
import prepare  # noqa: E402
import scenarios  # noqa: E402
import served as servers  # noqa: E402
from contestants import Failed, Skipped  # noqa: E402

DONE, SKIPPED, FAILED = "done", "skipped", "failed"


class Attendant:
    """Each method is something that can be asked for, by its name. What is
    started is ended with `stack`."""

    def __init__(self, stack):
        self._stack = stack
        self._served = self._watcher = None

    def describe(self, programs):
        """This host, and what its programs are, by their paths."""
        return {
            "machine": observe.describe_machine(),
            "programs": {
                path: contestants.fingerprint(path)
                for path in programs
                if os.path.exists(path)
            },
        }

    def start(self, name, scenario, address, pinned, threads=1):
        """Where it can be connected to."""
        cpus = measure.placement(pinned, threads).cpus.server
        self._served = self._stack.enter_context(
            servers.serving(
                name, scenarios.find(scenario), cpus, tuple(address), threads
            )
        )
        return self._served.address

    def watch(self, seconds, with_memory):
        self._watcher = measure.Watcher(self._served, seconds, with_memory)

    def look(self, said):
        self._watcher(said)

    def found(self, rate):
        return self._watcher.found(rate)

    def rest(self, seconds):
        return measure.rest(self._served, seconds)

    def answer(self, request):
        try:
            asked = getattr(self, request.pop("ask"))
            return {DONE: asked(**request)}
        except Skipped as reason:
            return {SKIPPED: str(reason)}
        except (Failed, OSError, subprocess.SubprocessError) as error:
            return {FAILED: str(error)}


def attend(requests, answers):
    with contextlib.ExitStack() as stack:
        attendant = Attendant(stack)
        for line in requests:
            print(json.dumps(attendant.answer(json.loads(line))), file=answers)
            answers.flush()


def main():
    prepare.process()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with children.supervised():
            attend(sys.stdin, sys.stdout)
    except children.Interrupted as interruption:
        return 128 + interruption.number
    except BrokenPipeError:
        return 1  # who asked has gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
