"""bench/compare as it is run: with servers and a load that are made up, so that
it takes no time and every answer is known."""

import collections
import contextlib
import io
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from unittest import mock

sys.dont_write_bytecode = True
import comparison  # noqa: E402  (after the line that keeps the tree clean)
import contestants  # noqa: E402
import observe  # noqa: E402

COMPARE = pathlib.Path(__file__).resolve().parent / "compare"
SLEEPER = b"sleep\x001007\x00"
PYTHON = f"#!{sys.executable} -IS\n"

# Answers ECHO and INFO, and NAME with what it is called: by that the load knows
# what to make of it. The parent's child would stay if nobody looked for it.
SERVER = PYTHON + textwrap.dedent("""
    import os, select, socket, sys

    name = os.path.basename(sys.argv[0]).removesuffix("-server")
    if "--traits" in sys.argv:
        print("concurrent=" + ("1" if name == "lone-one" else "all"))
        sys.exit(0)
    if name == "refused-one":
        print("no such model here", file=sys.stderr)
        sys.exit(77)
    fd = int(sys.argv[sys.argv.index("--listen-fd") + 1])
    listener = socket.socket(fileno=fd)
    listener.listen()
    if name == "parent-one" and os.fork() == 0:
        os.setsid()
        os.execlp("sleep", "sleep", "1007")
    print("ready fake one tcp://here", flush=True)
    infos, peers = 0, [listener]
    while True:
        for peer in select.select(peers, [], [])[0]:
            if peer is listener:
                peers.append(listener.accept()[0])
                continue
            got = peer.recv(4096)
            words = got.split(b"\\r\\n")
            if words == [b""]:
                peers.remove(peer)
                continue
            if name == "bare-echo":
                peer.sendall(got)
                continue
            if words[2] == b"ECHO":
                text = words[4]
            elif words[2] == b"NAME":
                text = name.encode()
            else:
                infos += 1
                text = (b"total_commands_processed:%d\\nsyscall_recv:%d\\n"
                        b"# Model\\nseen:7" % (100 * infos, 300 * infos))
            peer.sendall(b"$%d\\r\\n%s\\r\\n" % (len(text), text))
""")

LOAD = PYTHON + textwrap.dedent("""
    import json, os, socket, sys, time

    host, port = sys.argv[1].split(":")
    peer = socket.create_connection((host, int(port)))
    peer.sendall(b"*1\\r\\n$4\\r\\nNAME\\r\\n")
    name = peer.recv(4096).split(b"\\r\\n")[1].decode()
    here = os.path.dirname(sys.argv[0])
    with open(here + "/loads", "a") as file:
        file.write(json.dumps([name, *sys.argv[2:]]) + "\\n")
    held, wrong = name == "held-one", name == "wrong-one"
    lost = name == "lost-one"
    if not wrong:  # the first answer is: it does not come so far
        print("measuring", file=sys.stderr, flush=True)
    if name == "slow-one":
        open(here + "/waiting", "w")
        time.sleep(1000)
    if not wrong:
        print("measured", file=sys.stderr, flush=True)
    rate = 2000.0 if name == "twice-one" else 1000.0
    why = {"held-one": "held up", "wrong-one": "another's bytes",
           "lost-one": "connection 0: Connection reset by peer"}.get(name, "")
    print(json.dumps({
        "verdict": "INVALID" if why else "VALID",
        "reason": why,
        "errors": int(wrong) + 64 * lost, "wrong": int(wrong),
        "first_error": why if wrong or lost else "",
        "requests": 0 if wrong else 100, "rate": 0.0 if wrong else rate,
        "duration_s": 0.0 if wrong else 0.1,
        "latency_us": dict.fromkeys(
            ("p50", "p90", "p99", "p99.9", "max"),
            None if wrong else 1e6 / rate),
    }))
    sys.exit(1 if why else 0)
""")


class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.results = self.folder / "results.jsonl"
        self.write("load", LOAD)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def start(self, servers, *arguments, scenario="S2", blocks=1, hours=""):
        """Of the servers, the first is the reference."""
        for name in servers:
            if not (self.folder / f"{name}-server").exists():
                self.write(f"{name}-server", SERVER)
        environment = os.environ | {
            "BIN": str(self.folder), "SERVERS": " ".join(servers),
            "HOURS": hours,
        }  # fmt: skip
        if "--resume" not in arguments:
            arguments = ["--scenario", scenario, "--seconds", "0.01",
                         "--results", self.results, "--blocks", str(blocks),
                         "--no-pin", *arguments]  # fmt: skip
        with open(self.folder / "said", "w") as said:
            process = subprocess.Popen(
                [COMPARE, *arguments], stdout=said, stderr=said, env=environment
            )
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        """SIGTERM, so that it ends its own."""
        process.terminate()
        process.wait(60)

    def said(self):
        return (self.folder / "said").read_text()

    def compare(self, *arguments, code=0, **more):
        process = self.start(*arguments, **more)
        self.assertEqual(process.wait(60), code, self.said())
        return self.said()

    def lines(self):
        text = self.results.read_text()
        return [json.loads(line) for line in text.splitlines()]

    def cells(self):
        return [line for line in self.lines() if line["kind"] == "cell"]

    def loads(self):
        text = (self.folder / "loads").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def test_ends_with_a_table_and_raw_results(self):
        text = self.compare(["here-one", "twice-one"], "--seed", "7", blocks=7)
        self.assertIn("seed 7", text)
        self.assertRegex(text, r"\nhere-one +\d+ +1000 .*reference\n")
        self.assertRegex(text, r"\ntwice-one +\d+ +2000 .* 2.000 \[2")
        self.assertIn("\n  by rate: twice-one faster\n", text)
        self.assertTrue(text.endswith(f"raw results: {self.results}\n"))
        self.assertEqual(len(self.cells()), 7 * 3)
        machine = self.lines()[0]["machine"]
        self.assertIn("kernel", machine)
        cell = self.cells()[0]
        # Both INFOs of a fresh process, which is asked for nothing else.
        self.assertEqual(cell["calls"], {"recv": 300})
        self.assertEqual(cell["calls_per_request"], {"recv": 3.0})
        self.assertEqual(cell["model"], {"seen": 0})
        self.assertEqual(cell["threads"], 1)
        self.assertGreater(cell["peak_bytes"], 1 << 20)
        self.assertEqual(len(self.loads()), 21)
        seeds = {load[load.index("--seed") + 1] for load in self.loads()}
        self.assertEqual(seeds, {str(seed) for seed in range(7, 14)})

    def test_names_who_cannot_take_part_and_goes_on(self):
        self.write("dead-one-server", "#!/bin/sh\necho gone >&2\nexit 3\n")
        self.write("mine", SERVER)
        servers = ["here-one", "wrong-one", "refused-one", "lone-one",
                   "dead-one", "held-one", "lost-one"]  # fmt: skip
        own = self.folder / "mine"
        text = self.compare(servers, "--server", own, code=1)
        self.assertIn("CONVICTED wrong-one in S2: 1 wrong answer: another's",
                      text)  # fmt: skip
        self.assertRegex(text, r"\nFAILED dead-one in S2: .*gone")
        self.assertIn("FAILED lost-one in S2: 64 errors: connection 0", text)
        self.assertEqual(text.count("CONVICTED wrong-one"), 1)
        self.assertIn("refused-one is skipped: no such model here", text)
        self.assertIn("lone-one is skipped: it serves 1 at once, not 64", text)
        self.assertIn("held-one: 1 of 1 left out, the first: INVALID: held up",
                      text)  # fmt: skip
        self.assertRegex(text, r"\nheld-one +0/1 +~1000 ")
        self.assertRegex(text, r"\nmine +\d+ +1000 ")
        counts = collections.Counter(c["contestant"] for c in self.cells())
        self.assertEqual(counts, {
            "here-one": 1, "here-one again": 1, "wrong-one": 1,
            "refused-one": 1, "lone-one": 1, "dead-one": 1, "held-one": 1,
            "lost-one": 1, str(own): 1,
        })  # fmt: skip

    def test_a_ring_that_cannot_run_is_skipped(self):
        self.write("ring", "#!/bin/sh\necho 'SKIP one: not: 7'\nexit 77\n")
        text = self.compare(["here-one"], "--peers", "redis", scenario="S8")
        self.assertIn("here-one is skipped: one: not: 7", text)
        self.assertIn("redis is skipped: it has no DHT", text)
        self.assertNotIn("per s", text, "a table of nothing")

    def rates_of_cells(self):
        """How often each scenario was measured, and the rates of the loads."""
        counts = collections.Counter(c["scenario"] for c in self.cells())
        rates = [load[load.index("--rate") + 1] for load in self.loads()
                 if "--rate" in load]  # fmt: skip
        return counts, collections.Counter(rates)

    def test_several_rates_beside_the_closed_loop(self):
        text = self.compare(["here-one"], "--rates", "500,1000")
        counts, rates = self.rates_of_cells()
        # The reference and its twin.
        self.assertEqual(counts, {"S2": 2, "S2@500": 2, "S2@1000": 2})
        self.assertEqual(rates, {"500.0": 2, "1000.0": 2})
        self.assertIn("S2@500: 64 connections, 500 requests per second", text)
        before = len(self.loads())
        self.compare(["here-one"], "--resume", self.results)
        self.assertEqual(len(self.loads()), before)

    def test_a_sweep_goes_up_to_what_the_load_keeps(self):
        text = self.compare(["here-one", "twice-one"], "--sweep", "--seed", "1")
        self.assertIn("6 scenarios: 18 cells", text)
        self.assertIn("of 1000 a second that here-one answers", text)
        counts, rates = self.rates_of_cells()
        self.assertEqual(set(counts.values()), {3})
        self.assertEqual(
            sorted(map(float, rates)), [120, 300, 600, 900, 1200]
        )
        why = self.lines()[0]["rates"]
        self.assertIn("keeps 1200 by a schedule", why[0])

    def test_what_was_asked_for_the_rates_is_not_measured_again(self):
        servers = ["here-one", "twice-one"]
        self.compare(servers, "--sweep", "--seed", "1")
        closed = [load[0] for load in self.loads() if "--rate" not in load]
        self.assertEqual(sorted(closed), ["here-one"] * 2 + ["twice-one"])
        before = len(self.loads())
        self.compare(servers, "--resume", self.results)
        self.assertEqual(len(self.loads()), before)

    def test_null_and_doubled_are_cells_like_others(self):
        self.write("bare-echo", SERVER)
        self.compare(["here-one"])
        counts = collections.Counter(c["contestant"] for c in self.cells())
        self.assertEqual(counts, {
            "here-one": 1, "here-one again": 1, "bare-echo null": 1,
            "here-one doubled": 1,
        })  # fmt: skip
        asked = {(load[load.index("--connections") + 1], "--raw" in load)
                 for load in self.loads()}  # fmt: skip
        self.assertEqual(asked, {("64", False), ("128", False), ("64", True)})
        self.assertTrue(self.lines()[0]["plan"]["null"])

    def test_clients_are_compared_by_one_server(self):
        for name in ("epoll-level", "other-one"):
            self.write(f"load-{name}", LOAD)
        text = self.compare(["epoll-level"], scenario="S11")
        self.assertIn("3 clients, 2 scenarios: 6 cells", text)
        found = {(c["contestant"], c["scenario"]) for c in self.cells()}
        self.assertEqual(found, {
            (label, scenario)
            for label in ("epoll-level", "epoll-level again", "other-one")
            for scenario in ("S1", "S11@10000")
        })  # fmt: skip
        self.assertEqual({load[0] for load in self.loads()}, {"epoll-level"})
        plan = self.lines()[0]["plan"]
        self.assertEqual((plan["clients"], plan["server"]),
                         (True, "epoll-level"))  # fmt: skip
        self.assertIn("load", self.cells()[0])

    def test_without_a_peak_there_is_no_sweep(self):
        text = self.compare(["wrong-one"], "--sweep", code=2)
        self.assertIn("wrong-one has no peak in S2: another's bytes", text)
        self.assertFalse(self.results.exists())

    def test_ends_with_a_report_and_the_same_exit_code(self):
        page = self.folder / "report" / "index.html"
        text = self.compare(
            ["here-one", "wrong-one"], "--report", page.parent, code=1
        )
        self.assertTrue(text.endswith(f"report: {page}\n"), text)
        self.assertIn("CONVICTED", page.read_text())

    def test_a_report_that_fails_hides_nothing(self):
        (self.folder / "taken" / "index.html").mkdir(parents=True)
        text = self.compare(
            ["wrong-one"], "--report", self.folder / "taken", code=1
        )
        self.assertIn("no report: IsADirectoryError", text)
        self.assertIn("CONVICTED wrong-one in S2", text)

    def test_a_report_that_cannot_be_is_refused_before_anything(self):
        self.write("taken", "")
        text = self.compare(
            ["here-one"], "--report", self.folder / "taken", code=2
        )
        self.assertIn("File exists", text)
        self.assertFalse(self.results.exists())

    def test_a_full_disk_hides_nothing_that_was_measured(self):
        # The greatest size of a file, in the place of a small disk.
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, before[1]))
        try:
            process = self.start(["here-one"], blocks=16)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        self.assertEqual(process.wait(60), 1, self.said())
        text = self.said()
        again = f"go on with\nbench/compare --resume {self.results}"
        self.assertIn(again, text)
        self.assertRegex(text, r"\nhere-one +\d+ +1000 ")
        text = self.compare([], "--resume", self.results)
        self.assertIn("its last line was torn", text)
        self.assertEqual(len(self.cells()), 16 * 2)

    def test_a_server_that_is_not_there_is_refused(self):
        text = self.compare(["here-one"], "--server", "/no/such", code=2)
        self.assertIn("no program /no/such", text)

    def interrupt(self, number):
        """Breaks it off when it has come to the slow server; what it said."""
        process = self.start(["parent-one", "slow-one"], "--seed", "3")
        while not (self.folder / "waiting").exists():
            self.assertIsNone(process.poll(), self.said())
            time.sleep(0.01)
        children = self.descendants(process.pid)
        # The server, the load, and perhaps the child that a parent has left.
        self.assertGreaterEqual(len(children), 2)
        process.send_signal(number)
        self.assertEqual(process.wait(60), 128 + number, self.said())
        left = [p for p in children if pathlib.Path(f"/proc/{p}").exists()]
        self.assertEqual(left, [])
        return self.said()

    def descendants(self, pid):
        children = observe.children_of(pid)
        return children + [d for c in children for d in self.descendants(c)]

    def sleepers(self):
        found = set()
        for pid in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (pid / "cmdline").read_bytes() == SLEEPER:
                    found.add(pid.name)
        return found

    def test_a_run_that_is_broken_off_can_be_gone_on_with(self):
        before = self.sleepers()
        said = self.interrupt(signal.SIGTERM)
        self.assertIn(f"bench/compare --resume {self.results}", said)
        self.assertIn(f"raw results: {self.results}", said)
        self.assertEqual(self.sleepers() - before, set())
        there = self.cells()
        self.assertLess(len(there), 3)

        # The machine went down in the middle of a line.
        with open(self.results, "a") as file:
            file.write('{"kind": "cell", "bl')
        self.write("load", LOAD.replace("slow-one", "nobody"))
        self.forget_load()
        servers = ["parent-one", "slow-one"]
        text = self.compare(servers, "--resume", self.results)
        self.assertIn("its last line was torn", text)
        self.assertEqual(self.cells()[: len(there)], there)
        keys = [(c["block"], c["visit"], c["contestant"]) for c in self.cells()]
        self.assertEqual(len(keys), 3)
        self.assertEqual(len(set(keys)), 3)
        self.assertRegex(text, r"\nslow-one +\d+ +1000 ")
        self.assertEqual(self.sleepers() - before, set())
        # All is there now: nothing is measured, the table comes again.
        before = len(self.loads())
        self.compare(servers, "--resume", self.results)
        self.assertEqual(len(self.loads()), before)

    def forget_load(self):
        """So that the changed load passes for the one of the first part."""
        first, rest = self.results.read_text().split("\n", 1)
        plan = json.loads(first)
        del plan["programs"]["load"]
        self.results.write_text(json.dumps(plan) + "\n" + rest)

    def test_ctrl_c_ends_it_likewise(self):
        self.interrupt(signal.SIGINT)

    def test_other_programs_do_not_go_into_the_same_results(self):
        self.compare(["here-one"], scenario="S10")
        with open(self.folder / "here-one-server", "a") as file:
            file.write("# another build\n")
        text = self.compare(["here-one"], "--resume", self.results, code=2)
        self.assertIn("here-one: not what was measured", text)

    def test_an_idle_server_is_watched_without_a_load(self):
        text = self.compare(["here-one"], scenario="S10")
        self.assertFalse((self.folder / "loads").exists())
        self.assertRegex(text, r"wake-ups/s threads\nhere-one +[0-9.]+ ")


class Children(unittest.TestCase):
    def test_who_does_not_end_by_itself_is_killed(self):
        program = textwrap.dedent("""
            import os, signal, subprocess, sys
            import children

            children.PATIENCE_SECONDS = 0.1
            deaf = "trap '' TERM; echo deaf; while :; do sleep 1; done"
            with children.supervised():
                # Its parent ends at once, so that nobody knows it.
                parent = subprocess.Popen(
                    ["sh", "-c", f"({deaf}) & echo $!"], stdout=subprocess.PIPE
                )
                said = parent.stdout.readline() + parent.stdout.readline()
            print(said.decode().replace("deaf", ""), os.listdir("/proc"))
        """)
        done = subprocess.run(
            [sys.executable, "-B", "-c", program],
            env=os.environ | {"PYTHONPATH": str(COMPARE.parent)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        words = done.stdout.split(maxsplit=1)
        self.assertTrue(words[0].isdigit(), done)
        self.assertNotIn(f"'{words[0]}'", words[1])


class Arguments(unittest.TestCase):
    """In this process, since nothing is started."""

    def refused(self, *arguments, hours=""):
        """What it says to arguments that it does not take."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            for name in ("load", "here-one-server"):
                (path / name).write_text("#!/bin/sh\n")
                (path / name).chmod(0o755)
            said = io.StringIO()
            with (
                mock.patch.object(contestants, "BIN", path),
                mock.patch.dict(os.environ, SERVERS="here-one", HOURS=hours),
                contextlib.redirect_stdout(said),
                contextlib.redirect_stderr(said),
            ):
                results = path / "results.jsonl"
                try:
                    code = comparison.main(
                        ["--results", str(results), *arguments]
                    )
                except SystemExit as error:
                    code = error.code
            self.assertEqual(code, 2, said.getvalue())
            self.assertFalse(results.exists())
        return said.getvalue()

    def test_wrong_ones_are_named(self):
        for arguments, said in (
            (["--models", "nothing"], "no model nothing; there are here-one"),
            (["--peers", "nobody"], "no peer nobody"),
            (["--scenario", "S99"], "no scenario S99"),
            (["--scenario", "S5", "--rate", "100"], "S5 cannot be asked on"),
            (["--blocks", "0"], "argument --blocks"),
            (["--rate", "100", "--saturate"], "not allowed with"),
            (["--rate", "100", "--sweep"], "not allowed with"),
            (["--rates", "100,0"], "argument --rates"),
            (["--scenario", "S5", "--sweep"], "S5: cannot be asked on"),
            (["--scenario", "S5@100"], "no scenario S5@100"),
            (["--scenario", "S11,S1"], "S11 stands alone"),
            (["--scenario", "S11", "--client", "a"], "S11 takes every client"),
            (["--scenario", "S11"], "no load-<client>"),
            (["--load-threads", "0"], "argument --load-threads"),
            (["--load-threads", "2"], "load has no --threads"),
            (["--bound-us", "100"], "--bound-us is the bound of --saturate"),
            (["--client", "nobody"], "no load"),
            (["--resume", "there.jsonl"], "--resume takes all from its file"),
            (["--readme", "README.md", "a.jsonl"], "--readme stands alone"),
        ):
            with self.subTest(said):
                self.assertIn(said, self.refused(*arguments))

    def test_nothing_stands_beside_a_run_that_is_gone_on_with(self):
        """Not what looks as if it were not there, either."""
        for words in (["--no-pin"], ["--seed", "0"], ["--models", "a"]):
            options = comparison.make_parser().parse_args(
                ["--resume", "there.jsonl", *words]
            )
            with self.assertRaisesRegex(ValueError, "takes all from its file"):
                comparison.open_journal(options)

    def test_everything_needs_hours(self):
        for hours in ("", "0.01", "many"):
            said = self.refused("--all", hours=hours)
            self.assertRegex(said, r"takes [0-9.]+ hours; HOURS=\d+ ")


if __name__ == "__main__":
    unittest.main()
