"""The bare echo against peers that do not behave. BIN says where it is."""

import os
import resource
import select
import socket
import struct
import sys
import threading
import unittest

sys.dont_write_bytecode = True
import contestants  # noqa: E402  (after the line that keeps the tree clean)

# More than the kernel keeps for one connection on its way there and back.
MUCH = 32 << 20


def receive(peer, count):
    got = bytearray()
    while len(got) < count:
        part = peer.recv(1 << 16)
        if not part:
            break
        got += part
    return bytes(got)


class BareEcho(unittest.TestCase):
    def setUp(self):
        self.echo = contestants.start(contestants.BARE)
        self.addCleanup(self.echo.stop)

    def connect(self):
        peer = self.echo.connect()
        self.addCleanup(peer.close)
        return peer

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.echo.pid}/fd"))

    def assert_descriptors(self, count):
        """It hears of an end by and by; each answer is a sign of progress,
        and that it serves still."""
        for _ in range(1000):
            with self.echo.connect() as peer:
                self.echo.echo(peer, "x")
            if self.descriptors() == count:
                return
        self.fail(f"{self.descriptors()} descriptors are open, {count} before")

    def test_returns_what_a_peer_writes_before_it_reads(self):
        # The echo's sends become short, then impossible; then its reader wakes.
        sent = os.urandom(1 << 20) * (MUCH >> 20)
        peer = self.connect()

        def write():
            peer.sendall(sent)
            peer.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        while select.select([], [peer], [], 0.5)[1]:
            pass  # until both directions are full
        got = receive(peer, MUCH + 1)
        writer.join()
        self.assertTrue(got == sent, "other bytes came back")

    def test_survives_a_reset_while_it_has_bytes_to_send(self):
        before = self.descriptors()
        peer = self.connect()
        peer.setblocking(False)
        while select.select([], [peer], [], 0.5)[1]:
            peer.send(bytes(1 << 16))
        peer.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        peer.close()
        self.assert_descriptors(before)

    def test_keeps_no_descriptor_of_those_who_left(self):
        before = self.descriptors()
        for _ in range(100):
            with self.echo.connect() as peer:
                self.echo.echo(peer, "x")
        self.assert_descriptors(before)

    def test_serves_again_after_it_ran_out_of_descriptors(self):
        limit = self.descriptors() + 4
        resource.prlimit(
            self.echo.pid, resource.RLIMIT_NOFILE, (limit, limit)
        )
        peers = [self.connect() for _ in range(8)]
        for peer in peers[:4]:
            self.echo.echo(peer, "x")
        before = self.echo.settled_cpu_seconds()
        self.assertFalse(select.select([peers[4]], [], [], 0.2)[0])
        self.assertEqual(self.echo.cpu_seconds(), before, "it spins")
        for peer in peers[:4]:
            peer.close()
        for peer in peers[4:]:
            self.echo.echo(peer, "x")


if __name__ == "__main__":
    unittest.main()
