"""More than one machine: hosts.txt, the command lines that come of it, and
loads that measure together. test_namespaces.py has the hosts."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

sys.dont_write_bytecode = True
import comparison  # noqa: E402  (after the line that keeps the tree clean)
import contestants  # noqa: E402
import hosts  # noqa: E402
import lab  # noqa: E402
import load_run  # noqa: E402
import measure  # noqa: E402
from contestants import Failed, Skipped  # noqa: E402
from plan import Plan  # noqa: E402
from test_compare import SERVER as FAKE_SERVER  # noqa: E402

REAL_BIN = contestants.BIN
SERVER = "epoll-level"
LOAD = contestants.BIN / f"load-{SERVER}"
MPI_LOAD = contestants.BIN / f"load-{SERVER}-mpi"
GIVE_UP = 60  # seconds, for what takes some


def why_not_together():
    """What is missing for loads that talk to each other; "" if nothing is."""
    if not shutil.which("mpirun"):
        return "openmpi-bin is missing"
    return "" if MPI_LOAD.exists() else f"{MPI_LOAD.name} has not been built"


def wait_for(condition):
    give_up = time.monotonic() + GIVE_UP
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {GIVE_UP} s")
        time.sleep(0.02)


# ---- hosts.txt ---------------------------------------------------------------

GOOD = """
# our lab
server 192.168.1.10:7000  ssh student@lab10   # beside the window
load   lab-11.example.org
load   192.168.1.12 ip netns exec "bench 2"
load   192.168.1.12 ip netns exec "bench 2"
load   127.0.0.1 here

network 192.168.1.0/24
"""


class Lines(unittest.TestCase):
    def test_are_understood(self):
        found = hosts.parse(GOOD.splitlines())
        self.assertEqual(
            found.server,
            hosts.Host("192.168.1.10", ("ssh", "student@lab10"), 7000),
        )
        second = hosts.Host(
            "192.168.1.12", ("ip", "netns", "exec", "bench 2")
        )
        self.assertEqual(
            found.loads,
            (
                hosts.Host(
                    "lab-11.example.org", ("ssh", "lab-11.example.org")
                ),
                second,
                second,
                hosts.Host("127.0.0.1", ("here",)),
            ),
        )
        self.assertEqual(found.network, "192.168.1.0/24")

    def test_are_kept_without_comments(self):
        with tempfile.NamedTemporaryFile("w+") as file:
            file.write(GOOD)
            file.flush()
            kept = hosts.read(file.name)
        self.assertEqual(kept[0], "server 192.168.1.10:7000  ssh student@lab10")
        self.assertEqual(len(kept), 6)
        self.assertEqual(hosts.parse(kept), hosts.parse(GOOD.splitlines()))

    def test_that_are_wrong_are_named_with_their_number(self):
        for line, words in (
            ("client 10.0.0.3", "'client' is none of server, load, network"),
            ("load", "load wants an address"),
            ("load 10.0.0", "'10.0.0' is no IPv4 address"),
            ("server 10.0.0.3", "there is a server already"),
            ("load 10.0.0.300", "'10.0.0.300' is no IPv4 address"),
            ("load [::1] ssh a", "no name of a host"),
            ("load -oProxyCommand=x", "no name of a host"),
            ("load 10.0.0.3:80", "only the server has a port"),
            ("load 10.0.0.3 here too", "nothing else stands beside 'here'"),
            ("load 10.0.0.2 ssh other", "launched in another way above"),
            ("load 10.0.0.3 ssh 'a", "No closing quotation"),
            ("network 10.0.0.1/8", "no network"),
            ("network 10.0.0.0/8 10.1.0.0/16", "'10.1.0.0/16' behind"),
        ):
            lines = ["server 10.0.0.1", "load 10.0.0.2", "", line]
            with self.subTest(line), self.assertRaises(ValueError) as raised:
                hosts.parse(lines, "hosts.txt")
            self.assertIn("hosts.txt:4: ", str(raised.exception))
            self.assertIn(words, str(raised.exception))

    def test_want_an_address_of_the_server_and_a_port_that_is_one(self):
        with self.assertRaisesRegex(ValueError, "x:1: .* wants an IPv4"):
            hosts.parse(["server lab10", "load lab11"], "x")
        for port in ("0", "65536", "http", ""):
            with self.assertRaisesRegex(ValueError, f"x:1: '{port}' is no"):
                hosts.parse([f"server 10.0.0.1:{port}", "load a"], "x")

    def test_that_are_missing_are_asked_for(self):
        for line, missing in (("server 10.0.0.1", "load"),
                              ("load 10.0.0.1", "server")):  # fmt: skip
            with self.assertRaisesRegex(ValueError, f"'{missing} ADDRESS'"):
                hosts.parse([line])

    def test_are_part_of_the_plan(self):
        plan = Plan((SERVER,), ("S2",), 1, 1, 7, hosts=("server a", "load b"))
        again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
        self.assertEqual(again, plan)
        self.assertGreater(
            plan.cell_seconds("S2"),
            dataclasses.replace(plan, hosts=()).cell_seconds("S2"),
        )

    def test_that_are_wrong_end_a_comparison(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "hosts.txt"
            path.write_text("server 10.0.0.1\nlod 10.0.0.2\n")
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                code = comparison.main(
                    ["--hosts", str(path), "--server", "/bin/true"]
                )
        self.assertEqual(code, comparison.WRONG_ARGUMENTS)
        self.assertIn("hosts.txt:2: 'lod'", said.getvalue())


class Commands(unittest.TestCase):
    WORDS = ["env", "A=b c", "program", "it's", "$HOME"]

    def test_by_ssh_are_one_line_that_its_shell_takes_apart_again(self):
        host = hosts.Host("10.0.0.1", ("/usr/bin/ssh", "-p", "22", "me@lab"))
        *ssh, line = host.command(self.WORDS)
        self.assertEqual(
            ssh,
            ["/usr/bin/ssh", *hosts.SSH_OPTIONS, "-p", "22", "me@lab"],
        )
        self.assertEqual(shlex.split(line), self.WORDS)
        self.assertEqual(host.shell_command("a; b")[-2:], ["me@lab", "a; b"])

    def test_in_a_namespace_keep_their_words(self):
        launch = ("ip", "netns", "exec", "a")
        host = hosts.Host("10.0.0.1", launch)
        self.assertEqual(host.command(self.WORDS), [*launch, *self.WORDS])
        self.assertEqual(
            host.shell_command("a; b"), [*launch, "sh", "-c", "a; b"]
        )

    def test_here_have_nothing_in_front(self):
        host = hosts.Host("10.0.0.1", (hosts.HERE,))
        self.assertEqual(host.command(self.WORDS), self.WORDS)
        self.assertEqual(host.shell_command("a; b"), ["sh", "-c", "a; b"])

    def test_of_mpirun_name_each_host_once(self):
        known = hosts.parse(GOOD.splitlines())
        words = lab.mpirun(known, 4, ["load-mpi", "x"])
        self.assertEqual(words[-2:], ["load-mpi", "x"])
        self.assertEqual(
            words[words.index("--host") + 1],
            "lab-11.example.org:1,192.168.1.12:2,127.0.0.1:1",
        )
        self.assertEqual(words[words.index("-np") + 1], "4")
        for name in ("oob_tcp_if_include", "btl_tcp_if_include"):
            self.assertEqual(words[words.index(name) + 1], "192.168.1.0/24")
        self.assertEqual(
            words[words.index("plm_rsh_agent") + 1], str(lab.LAUNCH)
        )

    def test_of_mpirun_take_no_more_hosts_than_connections(self):
        words = lab.mpirun(hosts.parse(GOOD.splitlines()), 1, ["load"])
        self.assertEqual(
            words[words.index("--host") + 1], "lab-11.example.org:1"
        )

    def test_of_mpirun_admit_root_only_if_it_is_root(self):
        with mock.patch.dict(os.environ, clear=True):
            for user, admitted in ((0, True), (1000, False)):
                with mock.patch("os.geteuid", return_value=user):
                    found = lab.environment(["server a", "load b"])
                self.assertEqual(found["BENCH_HOSTS"], "server a\nload b")
                self.assertEqual("OMPI_ALLOW_RUN_AS_ROOT" in found, admitted)

    def test_of_mpirun_are_started_by_the_hook(self):
        """As mpirun calls it: the address, and the line of a shell."""
        lines = ["server 10.0.0.1", "load 10.0.0.2 echo hook",
                 "load 10.0.0.3 here"]  # fmt: skip
        for address, said in (
            ("10.0.0.2", "hook sh -c echo  $((6 * 7))\n"),
            ("10.0.0.3", "42\n"),
        ):
            done = subprocess.run(
                [lab.LAUNCH, address, "echo ", "$((6 * 7))"],
                env=lab.environment(lines),
                capture_output=True,
                text=True,
            )
            self.assertEqual(done.stdout, said, done.stderr)


BANNER = "-" * 60
PRIMARY = [BANNER, "Primary job  terminated normally, but 1 process", BANNER]


class Reasons(unittest.TestCase):
    """What is made of the pages that mpirun writes."""

    def why(self, *lines):
        return lab.why("\n".join(lines))

    def test_are_a_ranks_own_words_first(self):
        said = self.why("x", "rank 0 (a): no word", *PRIMARY)
        self.assertEqual(said, "rank 0 (a): no word")

    def test_are_of_whom_mpirun_called_and_its_own(self):
        said = self.why(
            "Warning: something", "INVALID (interrupted): 5 requests",
            "ssh: no route", *PRIMARY, BANNER, "ORTE was", "unable", BANNER,
        )  # fmt: skip
        self.assertEqual(said, "ssh: no route; ORTE was unable")

    def test_are_short_and_never_empty(self):
        self.assertLessEqual(len(self.why("long " * 1000)), lab.REASON_MAX)
        self.assertEqual(self.why(""), "it said nothing")


# ---- The attendant -----------------------------------------------------------


def ask(host, port, *words):
    address = host, port
    with contestants.socket.create_connection(address, timeout=20) as peer:
        peer.sendall(contestants.request(*words))
        with peer.makefile("rb") as stream:
            return contestants.read_reply(stream).decode()


class Attendants(unittest.TestCase):
    """Of servers that are made up, on this machine."""

    HERE = hosts.Host("127.0.0.1", (hosts.HERE,))

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        patch = mock.patch.object(contestants, "BIN", self.folder)
        patch.start()
        self.addCleanup(patch.stop)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def start(self, attended, name, scenario="S2", host="127.0.0.1"):
        if not (self.folder / f"{name}-server").exists():
            self.write(f"{name}-server", FAKE_SERVER)
        return attended.ask(
            "start", name=name, scenario=scenario, address=[host, 0],
            pinned=False,
        )  # fmt: skip

    def test_start_a_server_watch_it_and_end_it(self):
        with lab.Attended(self.HERE) as attended:
            address = self.start(attended, "any-one")
            watcher = lab.Watcher(attended, 1, False)
            self.assertFalse(watcher.is_done)
            for said in (load_run.LINE_MEASURING, None, load_run.LINE_MEASURED):
                watcher(said)
            self.assertTrue(watcher.is_done)
            found = watcher.found(1000)
            child = attended._process.pid
        self.assertEqual(found["commands"], 100)  # as it tells of itself
        self.assertEqual(found["calls_per_request"], {"recv": 3})
        self.assertEqual(found["model"], {"seen": 0})
        self.assertGreater(found["spent_s"]["at"], 0)
        self.assertFalse(os.path.exists(f"/proc/{child}"))
        with self.assertRaises(OSError):
            host, port = address.split(":")
            contestants.socket.create_connection((host, int(port)), 1)

    def test_say_why_a_server_does_not_start(self):
        with lab.Attended(self.HERE) as attended:
            with self.assertRaisesRegex(Skipped, "no such model here"):
                self.start(attended, "refused-one")
        with lab.Attended(self.HERE) as attended:
            with self.assertRaisesRegex(Failed, "no program"):
                attended.ask(
                    "start", name="no-one", scenario="S2",
                    address=["127.0.0.1", 0], pinned=True,
                )  # fmt: skip

    def test_start_a_ring_where_they_are_told(self):
        for program in ("ring", f"{SERVER}-server"):
            (self.folder / program).symlink_to(REAL_BIN / program)
        with lab.Attended(self.HERE) as attended:
            address = self.start(attended, SERVER, "S8", "127.0.0.2")
            host, port = address.split(":")
            self.assertEqual(host, "127.0.0.2")
            nodes = ask(host, int(port), "CLUSTER", "NODES")
        self.assertEqual(nodes.count("127.0.0.2:"), 8, nodes)

    def test_bind_where_they_are_told(self):
        with lab.Attended(self.HERE) as attended:
            with self.assertRaisesRegex(Failed, "192.0.2.1:0: Cannot assign"):
                self.start(attended, "any-one", host="192.0.2.1")

    def test_that_are_gone_are_told_by_their_last_words(self):
        host = hosts.Host("there", ("sh", "-c", "echo no route >&2"))
        with lab.Attended(host) as attended:
            with self.assertRaisesRegex(Failed, "^there: no route$"):
                attended.ask("describe", programs=[])

    def test_know_another_build(self):
        path = self.write("program", "one")
        self.assertIn("kernel", lab.describe(self.HERE, [path]))
        with mock.patch("contestants.fingerprint", return_value="other"):
            with self.assertRaisesRegex(Failed, "another build"):
                lab.describe(self.HERE, [path])
        with self.assertRaisesRegex(Failed, "no program /nowhere"):
            lab.describe(self.HERE, ["/nowhere"])


# ---- Loads together ----------------------------------------------------------


@unittest.skipIf(why_not_together(), why_not_together())
class Together(unittest.TestCase):
    """Ranks on this machine."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.server = contestants.start(SERVER)
        self.addCleanup(self.server.stop)

    def start(self, *ranks):
        """One rank for each list of arguments."""
        words = ["mpirun", "--oversubscribe", "--bind-to", "none",
                 "--mca", "btl", "tcp,self", "--mca", "pml", "ob1"]  # fmt: skip
        for number, rank in enumerate(ranks):
            words += [":"] if number else []
            words += ["-np", "1", MPI_LOAD, *rank]
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=self.folder,
            env=lab.environment([]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(load_run.end, process)
        return process

    def run_ranks(self, *ranks):
        out, err = self.start(*ranks).communicate(timeout=GIVE_UP)
        return json.loads(out), err

    def arguments(self, port=None, seconds=0.3, connections=5):
        return [
            f"127.0.0.1:{port or self.server.port}", "--warmup", 0,
            "--connections", connections, "--duration", seconds, "--json", "-",
        ]  # fmt: skip

    def merged(self, *names):
        done = subprocess.run(
            [LOAD, "merge", *names, "--hgrm", "merged"],
            cwd=self.folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    def test_are_bit_by_bit_one_histogram_of_all_samples(self):
        words = [*self.arguments(), "--hgrm", "all", "--rank-hgrm", "own"]
        found, _ = self.run_ranks(words, words, words)
        merged = self.merged("own.0", "own.1", "own.2")
        all_of_them = (self.folder / "all").read_bytes()
        self.assertEqual(all_of_them, (self.folder / "merged").read_bytes())
        self.assertNotEqual(
            all_of_them, (self.folder / "own.0").read_bytes()
        )
        self.assertEqual(found["latency_us"], merged["latency_us"])
        # What had no answer at the end is in the histogram.
        self.assertEqual(
            found["requests"] + found["unanswered"], merged["requests"]
        )
        self.assertEqual(found["errors"], 0)

    def test_share_what_is_asked_for_and_tell_each_part(self):
        words = [*self.arguments(), "--rate", 1000, "--arrivals", "fixed"]
        found, said = self.run_ranks(words, words)
        self.assertEqual([r["connections"] for r in found["ranks"]], [2, 3])
        self.assertEqual([r["offered"] for r in found["ranks"]], [400, 600])
        self.assertEqual(found["connections"], 5)
        self.assertEqual(found["offered"], 1000)
        self.assertEqual(
            sum(r["requests"] for r in found["ranks"]), found["requests"]
        )
        # The first one speaks for all.
        self.assertEqual(said.splitlines().count("measuring"), 1)
        self.assertEqual(said.splitlines().count("measured"), 1)

    def test_do_not_begin_if_one_cannot_connect(self):
        with contestants.socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            found, said = self.run_ranks(
                self.arguments(), self.arguments(nobody.getsockname()[1])
            )
        self.assertEqual(found["verdict"], "INVALID")
        self.assertRegex(found["reason"], "^rank 1 .*Connection refused")
        self.assertEqual(found["requests"], 0)
        self.assertNotIn("measuring", said.splitlines())

    def test_are_invalid_if_any_of_them_is(self):
        words = self.arguments(seconds=0.05)
        found, _ = self.run_ranks([*words, "--rate", 400], words)
        self.assertEqual(found["verdict"], "INVALID")
        self.assertRegex(found["reason"], "^rank 0 .*")

    def test_end_when_one_dies(self):
        process = self.start(*[self.arguments(seconds=GIVE_UP)] * 2)
        wait_for(lambda: process.stderr.readline().strip() == "measuring")
        ranks = measure.observe.children_of(process.pid)
        self.assertEqual(len(ranks), 2)
        os.kill(ranks[1], signal.SIGKILL)
        process.communicate(timeout=GIVE_UP / 2)
        self.assertEqual(process.returncode, 128 + signal.SIGKILL)

    def test_are_no_more_than_there_are_connections(self):
        words = self.arguments(connections=1)
        process = self.start(words, words)
        _, err = process.communicate(timeout=GIVE_UP)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("1 connections are too few for 2 who ask", err)


if __name__ == "__main__":
    unittest.main()
