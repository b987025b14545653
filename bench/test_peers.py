"""The peers of bench/peers against clients that do not behave. BIN says where
they are; one whose package is missing is skipped."""

import ctypes
import os
import pathlib
import random
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
import contestants  # noqa: E402  (after the line that keeps the tree clean)

# More than the kernel keeps for one connection on its way there and back.
MUCH = 32 << 20
# What a program may keep of it: far more than a peer needs, far less than
# remains of MUCH when both directions are full.
GROWTH_MAX = 4 << 20
# Without a free descriptor most let a client wait; libuv ends it at once.
REFUSES = {"libuv-echo"}
WATCHES = {"asio-echo": "edge"}
SYS_PIDFD_GETFD = 438


def receive(client, count):
    """What comes until there are `count` bytes or the end."""
    got = bytearray()
    while len(got) < count:
        part = client.recv(1 << 16)
        if not part:
            break
        got += part
    return bytes(got)


def fill(client):
    """Writes until half a second long nothing more is taken: until both
    directions are full. Returns how many bytes it wrote."""
    client.setblocking(False)
    count = 0
    while count < MUCH and select.select([], [client], [], 0.5)[1]:
        count += client.send(bytes(1 << 16))
    client.settimeout(20)
    return count


def reset(client):
    """Closes with RST."""
    linger = struct.pack("ii", 1, 0)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.close()


class PeerTests:
    """The tests of one peer, whose name the class has."""

    peer = ""

    def setUp(self):
        try:
            self.echo = contestants.start(self.peer)
        except contestants.Skipped as reason:
            self.skipTest(f"{self.peer}: {reason}")
        self.addCleanup(self.echo.stop)

    def connect(self):
        client = self.echo.connect()
        self.addCleanup(client.close)
        return client

    def run_by_hand(self, *arguments):
        program = contestants.program_of(self.peer)
        return subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def descriptors(self):
        return {int(fd) for fd in os.listdir(f"/proc/{self.echo.pid}/fd")}

    def assert_descriptors(self, count):
        """It hears of an end by and by; each answer is a sign of progress,
        and that it serves still."""
        for _ in range(1000):
            with self.echo.connect() as client:
                self.echo.echo(client, "x")
            if len(self.descriptors()) == count:
                return
        now = len(self.descriptors())
        self.fail(f"{now} descriptors are open, {count} before")

    def test_returns_fragments(self):
        chance = random.Random(1)
        client = self.connect()
        for _ in range(300):
            sent = chance.randbytes(chance.choice([1, 2, 3, 100, 5000]))
            client.sendall(sent)
            self.assertEqual(receive(client, len(sent)), sent)

    def test_returns_pipelines_of_many_clients(self):
        clients = [self.connect() for _ in range(50)]
        sent = [
            b"".join(
                contestants.request("ECHO", f"{number} of {client}")
                for number in range(500)
            )
            for client in range(len(clients))
        ]
        for client, requests in zip(clients, sent):
            client.sendall(requests)
        for client, requests in zip(clients, sent):
            self.assertEqual(receive(client, len(requests)), requests)

    def test_returns_what_a_client_writes_before_it_reads(self):
        # The echo's sends become short, then impossible; then its reader wakes.
        sent = os.urandom(1 << 20) * (MUCH >> 20)
        client = self.connect()

        def write():
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        while writer.is_alive() and select.select([], [client], [], 0.5)[1]:
            pass  # until both directions are full
        got = receive(client, MUCH + 1)
        writer.join()
        self.assertTrue(got == sent, "other bytes came back")

    @unittest.skipIf(
        os.environ.get("MODE") in ("asan", "tsan"),
        "a sanitizer keeps memory that was freed",
    )
    def test_keeps_little_of_what_a_client_does_not_read(self):
        before = self.echo.anonymous_bytes()
        client = self.connect()
        count = fill(client)
        self.assertLess(count, MUCH, "it read on")
        grown = self.echo.anonymous_bytes() - before
        self.assertLess(grown, GROWTH_MAX)

    def assert_sleeps(self):
        """Once it has done what it still had to do: who spins never does."""
        for _ in range(20):
            before = self.echo.cpu_seconds()
            time.sleep(0.2)
            if self.echo.cpu_seconds() == before:
                return
        self.fail("it spins")

    def test_sleeps_while_a_client_does_not_read(self):
        fill(self.connect())
        self.assert_sleeps()

    def test_answers_after_a_half_close(self):
        client = self.connect()
        client.sendall(b"farewell")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(receive(client, 9), b"farewell")

    def test_sends_what_is_unsent_when_it_sees_a_half_close(self):
        # Small segments keep the buffers on the way small: with one of these
        # sizes the way is full, and the rest in the echo, when the end comes.
        before = len(self.descriptors())
        for count in range(1 << 15, 1 << 20, 1 << 15):
            with self.connect_with_small_segments() as client:
                client.sendall(bytes(count))
                client.shutdown(socket.SHUT_WR)
                self.echo.settled_cpu_seconds()
                self.assertEqual(len(receive(client, count + 1)), count)
        self.assert_descriptors(before)

    def connect_with_small_segments(self):
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        client.settimeout(20)
        client.connect(("127.0.0.1", self.echo.port))
        return client

    def test_survives_a_reset_while_it_has_bytes_to_send(self):
        before = len(self.descriptors())
        client = self.connect()
        fill(client)
        reset(client)
        self.assert_descriptors(before)

    def test_survives_a_reset_before_its_first_send(self):
        # A half-close first: then the kernel says EPIPE, and means SIGPIPE.
        before = len(self.descriptors())
        client = self.connect()
        self.echo.echo(client, "x")
        os.kill(self.echo.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.echo.pid, signal.SIGCONT)
        stat = pathlib.Path(f"/proc/{self.echo.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        reset(client)
        os.kill(self.echo.pid, signal.SIGCONT)
        self.assert_descriptors(before)

    def test_keeps_no_descriptor_of_those_who_left(self):
        before = len(self.descriptors())
        for _ in range(100):
            with self.echo.connect() as client:
                self.echo.echo(client, "x")
        self.assert_descriptors(before)

    def leave_descriptors(self, count):
        """So many more it may open, whatever gaps there are in its numbers."""
        taken = self.descriptors()
        free = [fd for fd in range(1024) if fd not in taken][:count]
        limit = (free[-1] + 1, free[-1] + 1)
        resource.prlimit(self.echo.pid, resource.RLIMIT_NOFILE, limit)

    def test_serves_again_after_it_ran_out_of_descriptors(self):
        before = len(self.descriptors())
        self.leave_descriptors(4)
        served = [self.connect() for _ in range(4)]
        for client in served:
            self.echo.echo(client, "x")
        others = [self.connect() for _ in range(4)]
        if self.peer in REFUSES:
            for client in others:
                self.assert_ended(client)
        self.assert_sleeps()
        for leaving, client in zip(served, others):
            leaving.close()
            if self.peer in REFUSES:
                client = self.connect_when_there_is_room(before + 4)
            self.echo.echo(client, "x")

    def connect_when_there_is_room(self, limit):
        while len(self.descriptors()) >= limit:
            time.sleep(0.001)
        return self.connect()

    def assert_ended(self, client):
        try:
            self.assertEqual(client.recv(1), b"")
        except ConnectionResetError:
            pass

    def test_sends_without_delay(self):
        before = self.descriptors()
        client = self.connect()
        self.echo.echo(client, "x")
        (fd,) = self.descriptors() - before
        process = os.pidfd_open(self.echo.pid)
        self.addCleanup(os.close, process)
        libc = ctypes.CDLL(None, use_errno=True)
        copy = libc.syscall(SYS_PIDFD_GETFD, process, fd, 0)
        if copy < 0:
            self.skipTest(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
        with socket.socket(fileno=copy) as its:
            option = its.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        self.assertEqual(option, 1)

    def test_says_that_it_is_ready_and_ends_by_a_signal(self):
        process = self.run_by_hand("--port", "0")
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        line = process.stdout.readline()
        watches = WATCHES.get(self.peer, "level")
        match = re.fullmatch(
            rf"ready {self.peer} {watches} tcp://127\.0\.0\.1:(\d+)\n", line
        )
        self.assertTrue(match, line)
        address = ("127.0.0.1", int(match[1]))
        with socket.create_connection(address, timeout=20) as client:
            client.sendall(b"x")
            self.assertEqual(client.recv(1), b"x")
            process.terminate()
            self.assertEqual(process.wait(20), -signal.SIGTERM)
        self.assertEqual(process.communicate(), ("", ""))

    def test_says_what_it_does_not_understand(self):
        for words in (["--port"], ["--port", "65536"], ["--what", "1"]):
            with self.subTest(words=words):
                process = self.run_by_hand(*words)
                said = process.communicate(timeout=20)
                usage = f"usage: {self.peer} [--port 0..65535 | --listen-fd N]"
                self.assertEqual(said, ("", usage + "\n"))
                self.assertEqual(process.returncode, 2)

    def test_needs_a_socket(self):
        process = self.run_by_hand("--listen-fd", "99")
        said, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertEqual(said, "")
        self.assertTrue(errors.startswith(f"{self.peer}: "), errors)


# A class for each, so that unittest tells of whom it speaks.
for name in contestants.PEERS:
    if contestants.echo_peer(name):
        title = "".join(word.capitalize() for word in name.split("-"))
        globals()[title] = type(
            title, (PeerTests, unittest.TestCase), {"peer": name}
        )


class Lists(unittest.TestCase):
    def test_agree_with_the_makefile(self):
        files = ("Makefile", "mk/bench.mk", "mk/machine.mk")
        text = "".join((contestants.ROOT / f).read_text() for f in files)
        text = text.replace("\\\n", " ")
        listed = re.search(r"^PEERS := (.*)$", text, re.M)[1].split()
        needs = dict(re.findall(r"^NEED_(\S+) := (\S+)$", text, re.M))
        signs = dict(re.findall(r"([a-z0-9-]+)=([\w/.-]+)", text))
        for name, (package, sign) in contestants.PEERS.items():
            if name == contestants.REDIS:
                self.assertEqual(sign, signs[package])
                continue
            self.assertIn(name, listed)
            self.assertEqual(package, needs.get(name, ""))
            self.assertEqual(sign, signs.get(package, ""))
        self.assertEqual({*listed, contestants.REDIS}, {*contestants.PEERS})


class Missing(unittest.TestCase):
    """A program that is not there."""

    def setUp(self):
        there = (contestants.BIN, contestants.PEERS)
        self.addCleanup(self.restore, *there)
        contestants.BIN = pathlib.Path("/nonexistent")
        contestants.PEERS = {
            contestants.BARE: ("", ""),
            "there-echo": ("some-dev", "stdio.h"),
            "libuv-echo": ("libuv1-dev", "nonexistent.h"),
        }

    def restore(self, directory, peers):
        contestants.BIN = directory
        contestants.PEERS = peers

    def test_package_is_a_reason_to_skip(self):
        for name in ("libuv-echo", "libuv-echo-again"):
            with self.assertRaises(contestants.Skipped) as caught:
                contestants.start(name)
            self.assertEqual(str(caught.exception), "libuv1-dev is missing")

    def test_build_is_a_failure(self):
        for name in (contestants.BARE, "there-echo", "epoll-level"):
            with self.assertRaises(contestants.Failed):
                contestants.start(name)


class Dear(unittest.TestCase):
    """What is planted for bench/compare to find. How much dearer it is, is not
    asserted: no test is about time."""

    PROGRAM = contestants.BIN / "dear-server"

    def test_answers_as_the_server_that_it_is_made_of(self):
        with contestants.start(str(self.PROGRAM)) as server:
            with server.connect() as peer:
                for _ in range(100):
                    server.echo(peer, "x" * 32)
            maps = pathlib.Path(f"/proc/{server.pid}/maps").read_text()
            self.assertIn("/dear.so", maps)
            self.assertGreaterEqual(server.calls()["send"], 100)


if __name__ == "__main__":
    unittest.main()
