#!/usr/bin/env python3
"""An honest server of PING and ECHO, to be held against the suite:

    make test SERVER=tests/conformance/own/echo.py LEVEL=echo

Of the contract (docs/contract.md) it keeps level echo, as its traits say.
"""

import selectors
import signal
import socket
import sys

TRAITS = "model=own\nvariant=echo\nsleeps=yes\nstore=no\nlimits=no\nring=no"
ROOM = 1 << 16  # bytes received at once
UNSENT = 1 << 20  # above it a peer that does not read is not read either


class Broken(Exception):
    """The peer does not speak the protocol."""


class Incomplete(Exception):
    """The rest of the request has not come yet."""


def number(received, at, kind):
    """The number in the line at `at`, which begins with `kind`; its end."""
    end = received.find(b"\r\n", at)
    if end < 0 and len(received) - at < 32:
        raise Incomplete
    digits = received[at + 1 : end]
    if received[at : at + 1] != kind or not digits.isdigit() or end - at > 20:
        raise Broken
    return int(digits), end + 2


def request(received, at):
    """The words of the request at `at`, and where the next one begins."""
    if at == len(received):
        raise Incomplete
    (count, at), words = number(received, at, b"*"), []
    for _ in range(count):
        if at == len(received):
            raise Incomplete
        size, at = number(received, at, b"$")
        if len(received) < at + size + 2:
            raise Incomplete
        words.append(bytes(received[at : at + size]))
        at += size + 2
    return words, at


def answer(words):
    name = words[0].upper() if words else b""
    if name == b"PING" and len(words) == 1:
        return b"+PONG\r\n"
    if name in (b"PING", b"ECHO") and len(words) == 2:
        return b"$%d\r\n%s\r\n" % (len(words[1]), words[1])
    return b"-ERR this server knows PING and ECHO\r\n" if words else b""


class Conversation:
    def __init__(self, server, peer):
        self.server, self.peer = server, peer
        self.received, self.unsent = bytearray(), bytearray()
        self.over = False  # nothing more will be received
        peer.setblocking(False)
        server.register(peer, selectors.EVENT_READ, self.ready)

    def ready(self, events):
        try:
            if events & selectors.EVENT_READ:
                self.receive()
            self.send()
        except ConnectionError:
            self.over, self.unsent = True, b""
        self.watch()

    def receive(self):
        part, at = self.peer.recv(ROOM), 0
        self.received += part
        self.over = not part
        try:
            while True:
                words, at = request(self.received, at)
                self.unsent += answer(words)
        except Incomplete:
            del self.received[:at]
        except Broken:
            self.unsent += b"-ERR Protocol error\r\n"
            self.over = True

    def send(self):
        try:
            while self.unsent:
                del self.unsent[: self.peer.send(self.unsent)]
        except BlockingIOError:
            pass  # the socket is full; it is told when there is room

    def watch(self):
        if self.over and not self.unsent:
            self.server.unregister(self.peer)
            self.peer.close()
            return
        events = selectors.EVENT_WRITE if self.unsent else 0
        if not self.over and len(self.unsent) < UNSENT:
            events |= selectors.EVENT_READ
        self.server.modify(self.peer, events, self.ready)


def option(name, otherwise):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else otherwise


def listener():
    if "--listen-fd" in sys.argv:
        return socket.socket(fileno=int(option("--listen-fd", "")))
    opened = socket.socket()
    opened.bind(("127.0.0.1", int(option("--port", "7000"))))
    return opened


def main():
    if "--traits" in sys.argv:
        print(TRAITS)
        return
    server = selectors.DefaultSelector()
    listening = listener()
    listening.listen(1000)
    stop, bell = socket.socketpair()
    # Once: a second signal ends the process as if there were no handler.
    signal.signal(signal.SIGTERM, lambda number, _: (
        bell.close(), signal.signal(number, signal.SIG_DFL)))
    server.register(stop, selectors.EVENT_READ)
    server.register(listening, selectors.EVENT_READ,
                    lambda _: Conversation(server, listening.accept()[0]))
    print("ready own echo tcp://%s:%d" % listening.getsockname(), flush=True)
    while True:
        for key, events in server.select():
            if key.fileobj is stop:
                return  # the end of the process closes everything: a FIN each
            key.data(events)


main()
