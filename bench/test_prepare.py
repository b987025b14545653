"""What programs find when they begin: closed streams, an ignored SIGCHLD, a
locale that is not UTF-8, a narrow terminal, a tree that cannot be written."""

import ast
import fcntl
import io
import json
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from unittest import mock

sys.dont_write_bytecode = True
import comparison  # noqa: E402  (after the line that keeps the tree clean)
import contestants  # noqa: E402
import prepare  # noqa: E402
import progress  # noqa: E402
import timeline_run  # noqa: E402
from plan import Plan  # noqa: E402
from reporting import command  # noqa: E402

BENCH = pathlib.Path(prepare.__file__).parent
ROOT = BENCH.parent
SERVER = "epoll-level"
LOAD = str(contestants.BIN / "load-epoll-level")
GIVE_UP = 60
CLOSED = 'exec "$0" "$@" <&- >&- 2>&-'
# No coercion to UTF-8: as in a locale of ISO-8859-1, or of none.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LATIN = {"PYTHONIOENCODING": "latin-1"}


def is_program(path):
    return path.is_file() and path.open("rb").read(40).startswith(
        b"#!/usr/bin/env python3"
    )


PROGRAMS = sorted(filter(is_program, BENCH.iterdir()))
SOURCES = sorted([*PROGRAMS, *BENCH.glob("*.py"), *BENCH.glob("*/*.py")])


def run(*command, environment=None, **more):
    return subprocess.run(
        [*map(str, command)],
        capture_output=True,
        timeout=GIVE_UP,
        env=os.environ | (environment or {}),
        **more,
    )


def python(text, *launcher):
    """A program of these lines; its exit code and what it said."""
    text = f"import sys; sys.path.insert(0, {str(BENCH)!r})\n{text}"
    return run(*launcher, sys.executable, "-B", "-c", text)


class Streams(unittest.TestCase):
    def test_every_program_prepares_itself(self):
        for path in [*PROGRAMS, BENCH / "attendant.py"]:
            with self.subTest(path.name):
                self.assertIn("prepare.process()", path.read_text("utf-8"))

    def test_closed_ones_become_dev_null(self):
        with tempfile.NamedTemporaryFile("r") as file:
            done = python(
                "import prepare, os\n"
                "prepare.process()\n"
                "print('nobody reads this'); print('nor', file=sys.stderr)\n"
                f"with open({file.name!r}, 'w') as out:\n"
                "    for n in range(3): out.write(os.ttyname(n) if "
                "os.isatty(n) else os.readlink(f'/proc/self/fd/{n}'))\n",
                "sh", "-c", CLOSED,
            )  # fmt: skip
            self.assertEqual((done.returncode, file.read()),
                             (0, 3 * "/dev/null"))  # fmt: skip

    def test_an_ignored_sigchld_does_not_hide_how_children_end(self):
        done = python(
            "import prepare, subprocess\n"
            "prepare.process()\n"
            "sys.exit(subprocess.run(['false']).returncode)",
            "env", "--ignore-signal=CHLD",
        )  # fmt: skip
        self.assertEqual(done.returncode, 1)

    def test_the_load_tells_the_server_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "result")
            with contestants.start(SERVER) as server:
                run("sh", "-c", CLOSED, LOAD, f"127.0.0.1:{server.port}",
                    "--warmup", 0, "--duration", 0.1, "--json", file)  # fmt: skip
            result = json.loads(file.read_text("utf-8"))
        self.assertEqual((result["errors"], result["first_error"]), (0, ""))
        self.assertGreater(result["requests"], 0)


class Locales(unittest.TestCase):
    def test_files_are_utf_8_whatever_the_locale(self):
        """Each place where text is read or written says so."""
        for path in SOURCES:
            if path.name.startswith("test_"):
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    with self.subTest(f"{path.name}:{node.lineno}"):
                        self.assertTrue(says_encoding(node))

    def test_a_sign_that_cannot_be_shown_costs_that_sign(self):
        for environment in (ASCII, LATIN):
            with self.subTest(environment):
                done = run(
                    sys.executable, "-B", "-c",
                    f"import sys; sys.path.insert(0, {str(BENCH)!r})\n"
                    "import prepare; prepare.process()\n"
                    "print('a table \\u2581\\u2588 with signs')",
                    environment=environment,
                )  # fmt: skip
                self.assertEqual(done.stdout, b"a table ?? with signs\n")

    def test_a_timeline_is_drawn(self):
        done = run(BENCH / "timeline", SERVER, environment=ASCII)
        if done.returncode == contestants.REFUSED:
            self.skipTest(done.stdout.decode())
        self.assertEqual((done.returncode, done.stderr), (0, b""))


def says_encoding(call):
    """Of a call that reads or writes text."""
    words = {word.arg for word in call.keywords}
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if words & {"encoding", None} or name not in (
        "open", "read_text", "write_text", "run", "Popen", "check_output"
    ):  # fmt: skip
        return "text" not in words and "universal_newlines" not in words
    if name == "open":
        owner = getattr(getattr(call.func, "value", None), "id", "")
        modes = [a.value for a in call.args if isinstance(a, ast.Constant)]
        modes += [m for a in call.args if isinstance(a, ast.IfExp)
                  for m in (a.body.value, a.orelse.value)]  # fmt: skip
        return owner in ("os", "gzip") or any("b" in str(m) for m in modes)
    places = {"read_text": 1, "write_text": 2}
    return len(call.args) >= places.get(name, 0) and "text" not in words


class Terminals(unittest.TestCase):
    """A line of progress is one line, however narrow."""

    COLUMNS = 30

    def setUp(self):
        self.ours, self.theirs = pty.openpty()
        self.addCleanup(os.close, self.ours)
        size = struct.pack("HHHH", 24, self.COLUMNS, 0, 0)
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, size)

    def shown(self):
        """The lines that were painted over each other."""
        os.close(self.theirs)
        said = b""
        try:
            while part := os.read(self.ours, 4096):
                said += part
        except OSError:
            pass  # the other side is closed
        return re.split("\r\x1b\\[K", said.decode())

    def test_of_the_load(self):
        with contestants.start(SERVER) as server:
            subprocess.run(
                [LOAD, f"127.0.0.1:{server.port}", "--warmup", "0.3",
                 "--duration", "0.5"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=self.theirs, timeout=GIVE_UP,
            )  # fmt: skip
        lines = self.shown()[1:-1]
        self.assertGreater(len(lines), 3)
        for line in lines:
            self.assertLess(len(line), self.COLUMNS, line)

    def test_of_a_comparison(self):
        plan = Plan((SERVER,), ("S2",), blocks=1, seconds=1.0, seed=1)
        # That what COLUMNS says of another terminal does not count.
        with mock.patch.dict(os.environ, COLUMNS="200"), os.fdopen(
            os.dup(self.theirs), "w"
        ) as out:
            shown = progress.Progress(out, 2, expected=3.0)
            cell = plan.cells()[0]
            shown.begin(cell)
            shown.end(cell, "much to be told " * 10)
        for line in self.shown()[1:]:
            self.assertLess(len(line), self.COLUMNS, line)


class Places(unittest.TestCase):
    def test_without_proc_it_says_what_is_missing(self):
        with (
            mock.patch("sys.stderr", io.StringIO()) as said,
            self.assertRaises(SystemExit) as end,
        ):
            prepare.require_proc("bench/compare", "/nonexistent/stat")
        self.assertEqual(end.exception.code, 77)
        self.assertIn("mount -t proc proc /proc", said.getvalue())

    def test_results_elsewhere_need_nothing_in_the_tree(self):
        """Where SCRATCH cannot be made a server can be started all the same."""
        with tempfile.NamedTemporaryFile() as no_folder:
            place = pathlib.Path(no_folder.name, "bench")
            contestants.scratch.cache_clear()
            self.addCleanup(contestants.scratch.cache_clear)
            with mock.patch.object(contestants, "SCRATCH", place):
                self.assertTrue(contestants.scratch().is_dir())
                with contestants.start(SERVER) as server:
                    self.assertEqual(server.ask("PING"), b"+PONG\r\n")

    def test_results_that_cannot_be_kept_come_with_a_remedy(self):
        plan = Plan((SERVER,), ("S2",), blocks=1, seconds=1.0, seed=1)
        with tempfile.NamedTemporaryFile() as no_folder:
            place = pathlib.Path(no_folder.name, "bench")
            with (
                mock.patch.object(contestants, "SCRATCH", place),
                self.assertRaisesRegex(contestants.Failed, "--results FILE"),
            ):
                comparison.new_journal(None, plan)

    def test_a_report_without_a_file_takes_the_newest(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            other = folder / "published.jsonl"
            with self.assertRaisesRegex(ValueError, "bench/compare --quick"):
                command.newest(folder, other)
            other.touch()
            self.assertEqual(command.newest(folder, other), other)
            for age, name in enumerate(("b", "a", "c")):
                path = folder / f"compare-{name}.jsonl"
                path.touch()
                os.utime(path, (time.time() - age,) * 2)
            newest = folder / "compare-b.jsonl"
            self.assertEqual(command.newest(folder, other), newest)

    def test_a_thread_has_its_programs_whole_name(self):
        with contestants.start(SERVER) as server:
            tasks = {}
            timeline_run.look(server.pid, tasks)
        names = {task.name for task in tasks.values()}
        self.assertIn(f"{SERVER}-server", names)


if __name__ == "__main__":
    unittest.main()
