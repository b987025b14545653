"""The load against real servers, against some that answer wrongly, and where
it is held up itself. BIN says where the programs are."""

import contextlib
import json
import math
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
import contestants  # noqa: E402  (after the line that keeps the tree clean)

SERVER = "epoll-level"
CLIENTS = ("epoll-level", "iouring-completion", "blocking-thread")
LOAD = str(contestants.BIN / f"load-{CLIENTS[0]}")
PERCENTILES = ["p50", "p90", "p99", "p99.9", "max"]
KEYS = {
    "verdict", "reason", "target", "client", "mode", "arrivals", "connections",
    "depth", "offered", "command", "seed", "duration_s", "warmup_s",
    "connect_s", "requests", "errors", "unanswered", "rate", "latency_us",
    "naive_us", "send_lag_us", "first_error", "cpu_us_per_request",
    "limited_by", "effective_n", "intervals_us", "gaps_p", "stationarity_p",
    "threads", "cpu_share",
}  # fmt: skip
# What a load says of a machine that had no time for it. Others work here too.
HELD_UP = (
    "held up", "waited for its CPU", "after their time", "of a CPU",
    "no steady state", "Poisson schedule has",
)  # fmt: skip
TRIES = 5
# Left alone, the scheduler puts one who wakes another onto the same CPU.
CPUS = sorted(os.sched_getaffinity(0))
GIVE_UP = 60  # seconds, for what takes one or two


def without_io_uring(program, *words):
    """Runs it to its end where io_uring_setup(2) fails, as in containers."""
    launcher = contestants.BIN.parent / "tests/tools/seccomp_launcher"
    if not launcher.exists():
        raise unittest.SkipTest(f"{launcher} was not built")
    words = map(str, words)
    return subprocess.run(
        [launcher, "EPERM", contestants.BIN / program, *words],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
    )


class Load:
    """A load that runs. Its stderr tells when it measures."""

    def __init__(self, *words, program=LOAD):
        self.process = subprocess.Popen(
            [program, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=contestants.pin(CPUS[-1]),
        )
        self.said = []

    def wait_for(self, line):
        """Reads its stderr up to that line."""
        while not self.said or self.said[-1] != line:
            text = self.process.stderr.readline()
            if not text:
                raise AssertionError(f"no '{line}' but {self.said}")
            self.said.append(text.rstrip("\n"))

    def end(self):
        """Waits for it; its exit code and what it wrote to stdout."""
        with self.process:
            try:
                out, err = self.process.communicate(timeout=GIVE_UP)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self.said += err.splitlines()
        return self.process.returncode, out


def run(*words, program=LOAD):
    """A load from start to end: its exit code, its result, its stderr."""
    load = Load(*words, "--json", "-", program=program)
    code, out = load.end()
    return code, json.loads(out) if out else None, load.said


def short(seconds=0.3):
    return ["--warmup", "0", "--duration", seconds]


def is_held_up(result):
    return any(words in result["reason"] for words in HELD_UP)


class Fake:
    """A server of ECHO {32}: `answer` makes the replies of what was asked, for
    one connection; None ends it. A thread for each connection."""

    SIZE = len(contestants.request("ECHO", "x" * 32))

    def __init__(self, answer):
        self.answer = answer
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer = self.listener.accept()[0]
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(
                    target=self.serve, args=(peer,), daemon=True
                ).start()

    def serve(self, peer):
        left = b""
        with peer, contextlib.suppress(OSError):
            while got := peer.recv(1 << 16):
                left += got
                while len(left) >= self.SIZE:
                    asked, left = left[: self.SIZE], left[self.SIZE :]
                    # Nobody else is answered before this one is.
                    with self.lock:
                        parts = self.answer(asked[-34:-2])
                        if parts is None:
                            return
                        for part in parts:
                            peer.sendall(part)


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text)


class Servers(unittest.TestCase):
    """The load against a server of the suite."""

    @classmethod
    def setUpClass(cls):
        try:
            cls.server = contestants.start(SERVER, CPUS[0])
        except contestants.Skipped as reason:
            raise unittest.SkipTest(f"{SERVER}: {reason}")
        cls.addClassCleanup(cls.server.stop)
        cls.address = f"127.0.0.1:{cls.server.port}"

    def run_rightly(self, *words, program=LOAD):
        """Once: every answer is right, and the verdict fits the exit code."""
        code, result, said = run(self.address, *words, program=program)
        self.assertEqual(result["errors"], 0, result["first_error"])
        self.assertEqual(result["unanswered"], 0)
        self.assertGreater(result["requests"], 0)
        self.assertLessEqual(KEYS, set(result))
        for name in ("latency_us", "naive_us", "send_lag_us"):
            self.assertEqual(list(result[name]), PERCENTILES)
        self.assertEqual(said[:3], ["warming", "measuring", "measured"])
        self.assertEqual(len(said), 4, said)
        if code != 0:
            self.assertEqual((code, result["verdict"]), (1, "INVALID"))
            # A machine with little time may have none for the server, either.
            others = "too few samples", "the server was silent"
            late = any(words in result["reason"] for words in others)
            self.assertTrue(late or is_held_up(result), result["reason"])
            return result
        self.assertEqual((result["verdict"], result["reason"]), ("VALID", ""))
        self.assertTrue(said[3].startswith("VALID: "), said)
        return result

    def program(self, client):
        """The load with this client; skips where it is refused."""
        program = str(contestants.BIN / f"load-{client}")
        probe = subprocess.run(
            [program, "--probe"], capture_output=True, text=True
        )
        if probe.returncode == contestants.REFUSED:
            self.assertNotEqual(probe.stderr, "")
            self.skipTest(f"{client}: {probe.stderr.strip()}")
        self.assertEqual((probe.returncode, probe.stdout), (0, ""))
        return program

    def with_client(self, client, *words):
        """Valid, as soon as nothing of this machine is in its way."""
        program = self.program(client)
        for _ in range(TRIES):
            result = self.run_rightly(
                *short(), "--connections", 4, *words, program=program
            )
            self.assertEqual(result["client"], client)
            self.assertEqual(result["mode"], "open" if words else "closed")
            self.assertEqual(result["target"], self.address)
            if result["verdict"] == "VALID":
                return
        self.skipTest(f"the machine is busy: {result['reason']}")

    def with_churn(self, client, *words):
        program = self.program(client)
        churn = ["--connections", 4, "--churn", 20]
        self.run_rightly(*short(), *churn, *words, program=program)

    def test_epoll(self):
        self.with_client(CLIENTS[0], "--rate", 4000)

    def test_iouring(self):
        self.with_client(CLIENTS[1], "--rate", 4000)

    def test_blocking(self):
        self.with_client(CLIENTS[2])

    def test_churn_epoll(self):
        self.with_churn(CLIENTS[0])
        self.with_churn(CLIENTS[0], "--rate", 6000)

    def test_churn_iouring(self):
        self.with_churn(CLIENTS[1])
        self.with_churn(CLIENTS[1], "--rate", 6000)

    def test_churn_blocking(self):
        self.with_churn(CLIENTS[2])

    def test_the_first_client_that_works(self):
        program = str(contestants.BIN / "load")
        result = self.run_rightly(*short(), program=program)
        self.assertIn(result["client"], CLIENTS)

    def test_another_one_where_io_uring_is_refused(self):
        words = [self.address, *short()]
        refused = without_io_uring(f"load-{CLIENTS[1]}", *words)
        self.assertEqual(refused.returncode, contestants.REFUSED)
        self.assertIn("io_uring", refused.stderr)
        done = without_io_uring("load", *words, "--json", "-")
        self.assertIn(done.returncode, (0, 1), done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual(result["client"], "epoll-level")
        self.assertEqual(result["errors"], 0)

    def test_open_loop(self):
        result = self.run_rightly(
            *("--rate", 4000, "--arrivals", "fixed", "--seed", 7), *short(0.5)
        )
        self.assertEqual(result["mode"], "open")
        self.assertEqual(result["arrivals"], "fixed")
        self.assertEqual((result["offered"], result["seed"]), (4000, 7))
        self.assertAlmostEqual(result["requests"], 2000, delta=60)

    def test_every_client_asks_from_several_threads_or_says_why_not(self):
        loads = {
            path.name.removeprefix("load-")
            for path in contestants.BIN.glob("load-*")
        }
        clients = {name for name in loads if not name.endswith("mpi")}
        self.assertLessEqual(set(CLIENTS), clients)
        asked = 0
        for client in sorted(clients):
            with self.subTest(client):
                asked += self.with_threads(client)
        self.assertGreaterEqual(asked, 4)

    def with_threads(self, client):
        """Whether that client can."""
        program = self.program(client)
        words = (self.address, *short(), "--threads", 3)
        code, result, said = run(*words, "--connections", 8, program=program)
        if code == 2:
            self.assertIn("has a thread for each connection", said[0])
            return False
        self.assertEqual(result["errors"], 0, result["first_error"])
        self.assertEqual((result["threads"], result["connections"]), (3, 8))
        self.assertGreater(result["requests"], 0)
        self.assertEqual(said[:3], ["warming", "measuring", "measured"])
        return True

    def test_threads_share_a_schedule(self):
        result = self.run_rightly(
            *("--threads", 2, "--connections", 5, "--rate", 4000),
            *("--idle", 3, "--flooder", 2, "--arrivals", "fixed"),
            *short(0.5),
        )
        self.assertAlmostEqual(result["requests"], 2000, delta=60)
        self.assertGreater(result["flooder_requests"], 0)

    def test_mix(self):
        result = self.run_rightly(
            *("--command", "5*GET {key}"),
            *("--command", "SET {key} {1-2000}"),
            *("--command", "DEL {key}"),
            *("--command", "PING {20}"),
            *("--key-count", 50),
            *short(),
        )
        self.assertEqual(len(result["command"]), 4)

    def test_lookups(self):
        self.run_rightly("--command", "DHT.LOOKUP {key}", *short())

    def test_idle_slow_and_flooder(self):
        result = self.run_rightly(
            *("--connections", 3, "--rate", 2000),
            *("--idle", 200, "--slow", 2, "--flooder", 64),
            *short(0.5),
        )
        self.assertGreater(result["flooder_requests"], 0)
        # Those of the schedule, and no more.
        self.assertAlmostEqual(result["requests"], 1000, delta=160)

    def test_merge_equals_the_sum(self):
        with tempfile.TemporaryDirectory() as folder:
            files = [str(pathlib.Path(folder, name)) for name in "abc"]
            counts = []
            for file in files[:2]:
                _, result, _ = run(self.address, *short(0.2), "--hgrm", file)
                counts.append(result["requests"] + result["unanswered"])
            code, merged, said = run("merge", *files[:2], "--hgrm", files[2])
            self.assertEqual((code, said), (0, []))
            self.assertEqual(merged["requests"], sum(counts))
            self.assertEqual(list(merged["latency_us"]), PERCENTILES)
            # What was merged can be merged, and nothing is lost.
            self.assertEqual(run("merge", files[2])[1], merged)

    def test_interrupt(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            load = Load(self.address, *short(600), "--json", "-")
            load.wait_for("measuring")
            load.process.send_signal(number)
            code, out = load.end()
            result = json.loads(out)
            self.assertEqual(code, 130)
            self.assertEqual(result["verdict"], "INVALID")
            self.assertEqual(result["reason"], "interrupted")
            self.assertGreaterEqual(set(result), KEYS)
            self.assertLess(result["duration_s"], GIVE_UP)


class StoppedServer(unittest.TestCase):
    """One that stands still for a second of five."""

    def stopped(self):
        with contestants.start(SERVER, CPUS[0]) as server:
            load = Load(
                *(f"127.0.0.1:{server.port}", "--json", "-"),
                *("--connections", 10, "--rate", 1000),
                *short(5),
            )
            load.wait_for("measuring")
            time.sleep(1)
            os.kill(server.pid, signal.SIGSTOP)
            time.sleep(1)
            os.kill(server.pid, signal.SIGCONT)
            return json.loads(load.end()[1])

    def test_shows_in_the_latencies_and_not_in_the_naive_ones(self):
        naive = []
        # A busy machine holds servers up too, and that is in the naive ones.
        while len(naive) < TRIES and min(naive, default=math.inf) >= 0.05e6:
            result = self.stopped()
            self.assertEqual(result["errors"], 0)
            self.assertGreaterEqual(result["latency_us"]["p99"], 0.9e6)
            self.assertGreaterEqual(result["latency_us"]["max"], 0.98e6)
            naive.append(result["naive_us"]["p99"])
        self.assertLess(min(naive), 0.05e6)


class StoppedLoad(unittest.TestCase):
    """A load that runs for 50 ms of every 100 only."""

    def run_held_up(self, *words):
        with contestants.start(SERVER, CPUS[0]) as server:
            address = f"127.0.0.1:{server.port}"
            load = Load(address, *short(0.6), "--json", "-", *words)
            load.wait_for("measuring")
            while load.process.poll() is None:
                load.process.send_signal(signal.SIGSTOP)
                time.sleep(0.05)
                load.process.send_signal(signal.SIGCONT)
                time.sleep(0.05)
            code, out = load.end()
        result = json.loads(out)
        self.assertEqual((code, result["verdict"]), (1, "INVALID"))
        self.assertEqual(result["errors"], 0)
        self.assertTrue(is_held_up(result), result["reason"])

    def test_in_a_closed_loop(self):
        self.run_held_up("--connections", 10)
        self.run_held_up("--connections", 1)

    def test_in_an_open_loop(self):
        self.run_held_up("--rate", 2000)
        self.run_held_up("--rate", 2000, "--arrivals", "fixed")


class WrongServers(unittest.TestCase):
    """Some that answer, but not all of it rightly."""

    def ask(self, answer, *words, seconds=0.3):
        words = [*words, *short(seconds)]
        with Fake(answer) as fake:
            return run(fake.address, *words, "--connections", 4)

    def convicted(self, answer):
        """However long it takes: the first wrong answer ends it."""
        code, result, said = self.ask(answer, seconds=GIVE_UP)
        self.assertEqual((code, result["verdict"]), (1, "INVALID"))
        self.assertEqual(result["errors"], 1)
        self.assertEqual(result["reason"], result["first_error"])
        self.assertNotIn("measured", said)
        return result["first_error"]

    def test_right_one_is_accepted(self):
        code, result, _ = self.ask(lambda text: [bulk(text)])
        self.assertEqual(result["first_error"], "")
        self.assertGreater(result["requests"], 0)
        self.assertEqual(code == 0, result["verdict"] == "VALID")

    def test_one_wrong_byte_in_a_thousand_answers(self):
        count = 0

        def answer(text):
            nonlocal count
            count += 1
            wrong = bytes([text[0], text[1] ^ 1]) + text[2:]
            return [bulk(wrong if count == 1000 else text)]

        said = self.convicted(answer)
        self.assertIn("instead of the answer to ECHO", said)
        # At the first: what the four connections had under way, no more.
        self.assertLess(count, 1010)

    def test_bytes_of_another_connection(self):
        kept = b""

        def answer(text):
            nonlocal kept
            kept, before = text, kept
            return [bulk(before or text)]

        self.assertIn("they belong to connection", self.convicted(answer))

    def test_error_reply(self):
        said = self.convicted(lambda _: [b"-ERR busy\r\n"])
        self.assertIn("'ERR busy'", said)

    def test_what_is_not_resp(self):
        hello = [b"hello\r\n"]
        code, result, _ = self.ask(lambda _: hello, seconds=GIVE_UP)
        self.assertEqual(code, 1)
        self.assertIn("protocol error", result["first_error"])

    def test_thread_whose_server_answers_wrongly_ends_all(self):
        error = b"-ERR busy\r\n"
        _, result, _ = self.ask(
            lambda _: [error], "--threads", 2, seconds=GIVE_UP
        )
        # Both may have found one before the first has ended the other.
        self.assertIn(result["errors"], (1, 2))
        self.assertIn("'ERR busy'", result["first_error"])

    def test_rate_is_no_more_than_was_answered_within_the_time(self):
        """Asked for four times of what it can."""
        times = []

        def answer(text):
            time.sleep(0.001)
            times.append(time.monotonic())
            return [bulk(text)]

        with Fake(answer) as fake:
            load = Load(
                *(fake.address, *short(0.5), "--json", "-"),
                *("--connections", 4, "--rate", 4000),
            )
            load.wait_for("measured")
            end = time.monotonic()
            result = json.loads(load.end()[1])
        answered = sum(when <= end for when in times)
        found = result["rate"] * result["duration_s"]
        self.assertLessEqual(found, answered)
        # Nor is it that of a schedule, which lasts until all is answered.
        self.assertGreater(result["requests"], found * 1.2)

    def test_fragments_are_right(self):
        def answer(text):
            whole = bulk(text)
            return [whole[:1], whole[1:4], whole[4:20], whole[20:]]

        code, result, _ = self.ask(answer, "--depth", 3)
        self.assertEqual((result["errors"], result["first_error"]), (0, ""))
        self.assertEqual(result["unanswered"], 0)
        self.assertGreater(result["requests"], 0)

    def test_silence_is_counted(self):
        words = [*short(0.2), "--connections", 4, "--json", "-"]
        with Fake(lambda _: []) as fake:
            loads = {
                client: Load(
                    fake.address,
                    *words,
                    program=str(contestants.BIN / f"load-{client}"),
                )
                for client in CLIENTS
            }
            for client, load in loads.items():
                with self.subTest(client):
                    self.assert_unanswered(*load.end(), load.said)

    def assert_unanswered(self, code, out, said):
        if code == contestants.REFUSED:
            self.skipTest(said[0])
        result = json.loads(out)
        self.assertEqual((code, result["requests"]), (1, 0))
        self.assertEqual(result["reason"], "nothing was answered")
        self.assertEqual((result["unanswered"], result["errors"]), (4, 0))
        # At least what was left of the time, and of the waiting behind it.
        self.assertGreaterEqual(result["latency_us"]["max"], 1e6)
        self.assertEqual(said[:3], ["warming", "measuring", "measured"])

    def test_close(self):
        count = 0

        def answer(text):
            nonlocal count
            count += 1
            return [bulk(text)] if count <= 100 else None

        # As long as it takes: without a connection it ends.
        code, result, _ = self.ask(answer, seconds=GIVE_UP)
        self.assertEqual((code, result["verdict"]), (1, "INVALID"))
        self.assertEqual((result["errors"], result["requests"]), (4, 100))
        self.assertIn("while 1 reply was owed", result["first_error"])

    def test_nobody_there(self):
        with Fake(None) as fake:
            address = fake.address
        code, result, _ = run(address, *short(), "--connections", 3)
        self.assertEqual((code, result["errors"]), (1, 3))
        self.assertIn("refused", result["first_error"])


class CommandLine(unittest.TestCase):
    """What is no measurement."""

    def refused(self, *words, client=CLIENTS[0]):
        program = str(contestants.BIN / f"load-{client}")
        code, result, said = run(*words, program=program)
        self.assertEqual((code, result), (2, None))
        return said[0]

    def test_wrong_words(self):
        self.assertIn("--depth", self.refused("a:1", "--depth", "0"))
        few = self.refused("a:1", "--threads", "3", "--connections", "2")
        self.assertIn("2 connections are too few for 3 threads", few)
        self.assertIn("--command", self.refused("a:1", "--command", "INFO"))
        self.refused("merge")

    def test_rate_needs_a_client_that_can_send_while_it_waits(self):
        said = self.refused("a:1", "--rate", "100", client=CLIENTS[2])
        self.assertIn("cannot send while it waits", said)

    def test_file_that_is_not_there(self):
        code, _, said = run("merge", "/nonexistent/a.hgrm")
        self.assertEqual(code, 1)
        self.assertIn("/nonexistent/a.hgrm", said[0])

    def test_file_that_is_no_histogram(self):
        code, _, said = run("merge", __file__)
        self.assertEqual(code, 1)
        self.assertIn(__file__, said[0])


if __name__ == "__main__":
    unittest.main()
