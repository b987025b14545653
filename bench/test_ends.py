"""How bench/run, memory, instructions and trace-cost end before they are done:
by a signal, or at once. All they start is made up, so that it goes on for ever
and nothing depends on what is installed."""

import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

sys.dont_write_bytecode = True
import children  # noqa: E402  (after the line that keeps the tree clean)
import observe  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent
PYTHON = f"#!{sys.executable} -IS\n"
ENDS_SECONDS = 30
THERE_SECONDS = 60

# Returns every byte, which is what an echo peer's answer has to be. It leaves a
# child in a session of its own, which would stay if nobody looked for it; the
# alarm, so that it does not stay for ever where a test has failed.
SERVER = PYTHON + textwrap.dedent("""
    import os, selectors, signal, socket, sys

    if os.fork() == 0:
        os.setsid()
        signal.alarm(300)
        signal.pause()
    fd = int(sys.argv[sys.argv.index("--listen-fd") + 1])
    listener = socket.socket(fileno=fd)
    listener.listen()
    print("ready fake one tcp://here", flush=True)
    there = selectors.DefaultSelector()
    there.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in there.select():
            if key.fileobj is listener:
                peer = listener.accept()[0]
                there.register(peer, selectors.EVENT_READ)
            elif text := key.fileobj.recv(4096):
                key.fileobj.sendall(text)
            else:
                there.unregister(key.fileobj)
                key.fileobj.close()
""")

LOAD = PYTHON + textwrap.dedent("""
    import signal, sys

    if "--version" not in sys.argv:
        signal.pause()
""")

VALGRIND = PYTHON + textwrap.dedent("""
    import os, sys

    program = sys.argv.index("--listen-fd") - 1
    os.execv(sys.argv[program], sys.argv[program:])
""")

# Arguments with which it does not end by itself, and what it has to have
# started beside a server when the signal comes.
RUN = ["run", "--rounds", "1", "--cells", "c50-p1", "--seed", "7"]
MEMORY = ["memory", "--runs", "1000"]
INSTRUCTIONS = ["instructions", "--requests", "100000000"]
TRACE_COST = ["trace-cost"]
COMMANDS = {
    "run": (RUN, ["redis-benchmark"]),
    "memory": (MEMORY, []),
    "instructions": (INSTRUCTIONS, []),
    "trace-cost": (TRACE_COST, ["redis-benchmark"]),
}


def obey_signals():
    """For preexec_fn: whoever started the tests may ignore some."""
    for number in children.SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def descendants(pid):
    there = observe.children_of(pid)
    return there + [d for child in there for d in descendants(child)]


def of_session(session):
    pids = [int(name) for name in observe.list_of("/proc") if name.isdigit()]
    fields = {pid: observe.stat_fields(pid) for pid in pids}
    return [p for p, f in fields.items() if f and f[3] == str(session)]


def words(pid):
    return observe.read(f"/proc/{pid}/cmdline").split("\0")


class Tree(unittest.TestCase):
    """The commands in a tree of their own, so that the results that they leave
    in build/bench do not lie in the real one."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.bin, self.tools = self.root / "bin", self.root / "tools"
        for path in (self.root / "bench", self.bin, self.tools):
            path.mkdir()
        for path in [*FOLDER.glob("*.py"), *map(FOLDER.joinpath, COMMANDS)]:
            shutil.copy(path, self.root / "bench")
        self.write(self.bin / "bare-echo", SERVER)
        self.write(self.bin / "here-one-server", SERVER)
        self.write(self.tools / "redis-benchmark", LOAD)
        self.write(self.tools / "valgrind", VALGRIND)

    def write(self, path, text):
        path.write_text(text)
        path.chmod(0o755)

    def start(self, command, *arguments):
        """Leads a session of its own; stdout and stderr go to files, which
        take whatever comes."""
        environment = os.environ | {
            "BIN": str(self.bin), "SERVERS": "here-one",
            "PATH": str(self.tools),
        }  # fmt: skip
        with (
            open(self.root / "stdout", "w") as stdout,
            open(self.root / "stderr", "w") as stderr,
        ):
            process = subprocess.Popen(
                [sys.executable, self.root / "bench" / command, *arguments],
                stdout=stdout,
                stderr=stderr,
                env=environment,
                start_new_session=True,
                preexec_fn=obey_signals,
            )
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        """With all that it has started, if it has not ended."""
        for pid in [*descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def said(self, stream):
        return (self.root / stream).read_text()

    def finish(self, command, *arguments):
        return self.start(command, *arguments).wait(THERE_SECONDS)


class Signals(Tree):
    def wait_until_there(self, process, programs):
        """Until it has a server, the server its child, and what else it needs;
        the descendants."""
        give_up = time.monotonic() + THERE_SECONDS
        while time.monotonic() < give_up:
            if process.poll() is not None:
                if self.said("stdout").startswith("SKIP"):
                    self.skipTest(self.said("stdout"))
                self.fail(self.said("stdout") + self.said("stderr"))
            there = descendants(process.pid)
            names = [pathlib.Path(w).name for p in there for w in words(p)]
            servers = names.count("bare-echo") + names.count("here-one-server")
            if servers >= 2 and all(name in names for name in programs):
                return there
            time.sleep(0.01)
        self.fail(f"no {programs} beside a server: {self.said('stderr')}")

    def interrupt(self, command, number):
        """Signals it once its server is there; what it said."""
        arguments, programs = COMMANDS[command]
        process = self.start(*arguments)
        there = self.wait_until_there(process, programs)
        for pid in there:
            self.addCleanup(self.kill, pid)
        process.send_signal(number)
        code = process.wait(ENDS_SECONDS)
        self.assertEqual(code, 128 + number, self.said("stderr"))
        self.assertEqual(of_session(process.pid), [])
        left = [p for p in there if pathlib.Path(f"/proc/{p}").exists()]
        self.assertEqual(left, [])
        self.assertEqual(self.said("stderr"), "")
        return self.said("stdout")

    def kill(self, pid):
        """If it is still one of ours: its number may be another's by now."""
        if any(str(self.bin) in word for word in words(pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def interrupt_twice(self, command):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                self.interrupt(command, number)

    def test_run(self):
        self.need_cpus()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number.name):
                said = self.interrupt("run", number)
                self.assertTrue(said.startswith(
                    "1 round of 4 contestants in 1 cell, seed 7: about 12 "
                    "seconds\ninterrupted: what follows "
                ), said)  # fmt: skip
                path = said.partition("raw results: ")[2].split("\n")[0]
                self.assertIn(self.root, pathlib.Path(path).parents)
                self.assertIn('"machine"', pathlib.Path(path).read_text())

    def need_cpus(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("server and load need a CPU each, here is one")

    def test_memory(self):
        self.interrupt_twice("memory")

    def test_instructions(self):
        self.interrupt_twice("instructions")

    def test_trace_cost(self):
        self.need_cpus()
        self.interrupt_twice("trace-cost")


class Refusals(Tree):
    def test_a_name_that_is_no_program(self):
        (self.root / "text").write_text("no program")
        for command in COMMANDS:
            for name, path in (
                ("nope", self.bin / "nope-server"),
                (str(self.root / "text"), self.root / "text"),
                (str(self.bin), self.bin),
            ):
                with self.subTest(f"{command} {name}"):
                    code = self.finish(command, "--servers", f"here-one,{name}")
                    self.assertEqual(code, 2)
                    self.assertEqual(self.said("stdout"), "")
                    self.assertEqual(
                        self.said("stderr"),
                        f"bench/{command}: {name}: no program {path}; there "
                        "are here-one\n",
                    )
        left = [path for path in (self.root / "build").rglob("*") if path.is_file()]
        self.assertEqual(left, [])

    def test_what_is_not_installed_is_skipped(self):
        self.assertEqual(self.finish("instructions", "--servers", "redis"), 0)
        self.assertRegex(self.said("stdout"), r"^SKIP redis: .*install.*\n$")
        self.assertEqual(self.said("stderr"), "")

    def test_raw_results_that_cannot_be_written(self):
        (self.root / "build").touch()
        # The others leave nothing but what they print: what they need
        # meanwhile finds another place.
        for command in ("run", "memory"):
            with self.subTest(command):
                code = self.finish(command, "--servers", "here-one")
                said = self.said("stdout") + self.said("stderr")
                if not said.startswith("SKIP"):
                    self.assertEqual(code, 1, said)
                    self.assertNotIn("Traceback", said)
                if command == "run" and code == 1:
                    self.assertRegex(said, r"^bench/run: .*build.*\n$")


def command_module(name):
    """Of a command, which has no suffix that would say that it is Python."""
    loader = importlib.machinery.SourceFileLoader(name, str(FOLDER / name))
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Limits(unittest.TestCase):
    def test_without_an_interval_nothing_has_failed(self):
        trace_cost = command_module("trace-cost")
        for pairs, traced, kept in ((1, 2.0, True), (9, 2.0, False),
                                    (9, 1.0, True)):  # fmt: skip
            found = {"plain": [1.0] * pairs, "again": [1.0] * pairs,
                     "traced": [traced] * pairs}  # fmt: skip
            with contextlib.redirect_stdout(None):
                self.assertIs(trace_cost.report("one", 1, found), kept)

    def test_times_are_spelt_in_their_unit(self):
        spell_time = command_module("run").spell_time
        for seconds, said in (
            (0.1, "1 second"),
            (59.4, "59 seconds"),
            (59.6, "1 minute"),
            (1500, "25 minutes"),
        ):
            self.assertEqual(spell_time(seconds), said)


if __name__ == "__main__":
    unittest.main()
