"""What is measured: each started as a fresh process, asked, and ended.

A contestant is a server of the suite (`epoll-level`, or a path to any program
that keeps docs/contract.md), or one of PEERS, which are there to be compared
with. The environment says where they are:

  BIN      directory of the programs (default build/release/bin)
  SERVERS  names of the servers, separated by blanks (default: the programs
           named <model>-<variant>-server that are there)
"""

import atexit
import contextlib
import ctypes
import functools
import glob
import hashlib
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("BIN", ROOT / "build/release/bin")).resolve()
SCRATCH = ROOT / "build/bench"

BARE = "bare-echo"
REDIS = "redis"
# The package that each needs, and what shows that it is there, as the Makefile
# has them. A peer without its package is skipped.
PEERS = {
    BARE: ("", ""),
    "libuv-echo": ("libuv1-dev", "uv.h"),
    "libevent-echo": ("libevent-dev", "event2/bufferevent.h"),
    "asio-echo": ("libasio-dev", "asio.hpp"),
    REDIS: ("redis-tools", "redis-benchmark"),
}
LOOPBACK = "127.0.0.1"
READY_SECONDS = 30
STOP_SECONDS = 10
REFUSED = 77  # what a server says when the machine cannot run its model


class Skipped(Exception):
    """A contestant cannot run on this machine; the text says why."""


class Failed(Exception):
    """A contestant should have run and did not, or answered wrongly."""


@functools.cache
def scratch():
    """A folder for what is of use as long as this runs: SCRATCH, or one that is
    removed at the end where the tree cannot be written."""
    with contextlib.suppress(OSError):
        SCRATCH.mkdir(parents=True, exist_ok=True)
        if os.access(SCRATCH, os.W_OK):
            return SCRATCH
    folder = tempfile.mkdtemp(prefix="bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return pathlib.Path(folder)


def server_names():
    """The suite's servers: from SERVERS, else what BIN holds. The links
    <model>-server name a variant a second time and are left out."""
    if os.environ.get("SERVERS"):
        return os.environ["SERVERS"].split()
    found = sorted(glob.glob(str(BIN / "*-*-server")))
    return [pathlib.Path(path).name.removesuffix("-server") for path in found]


def echo_peer(name):
    """Which of the peers that return every byte it names, `-again` or the like
    behind it allowed (the same program, to see what the machine alone does);
    None if it is none of them."""
    echoes = (peer for peer in PEERS if peer != REDIS)
    return next((peer for peer in echoes if name.startswith(peer)), None)


def redis_program():
    """Debian's redis-server. The package redis-tools holds it under the name
    redis-check-rdb: one binary, which looks at the name it is called by."""
    if found := shutil.which("redis-server"):
        return found
    twin = shutil.which("redis-check-rdb")
    if not twin:
        raise Skipped("Redis is not installed: apt install redis-tools")
    link = scratch() / "redis-server"
    link.unlink(missing_ok=True)
    link.symlink_to(twin)
    return str(link)


def program_of(name):
    """The file of a contestant other than Redis."""
    peer = echo_peer(name)
    if "/" in name:
        path = pathlib.Path(name).resolve()
    else:
        path = BIN / (peer or f"{name}-server")
    if not os.access(path, os.X_OK):
        if peer and missing_package(peer):
            raise Skipped(f"{missing_package(peer)} is missing")
        raise Failed(f"{name}: no program {path}")
    return str(path)


def why_missing(name):
    """Why there is nothing to start, "" if there is. What is merely not
    installed is skipped when its turn comes."""
    if name == REDIS:
        return ""
    try:
        path = program_of(name)
    except Skipped:
        return ""
    except Failed as error:
        return str(error)
    return "" if os.path.isfile(path) else f"{name}: no program {path}"


def refuse_missing(parser, names):
    """Ends it at once: a slip of the pen would be told late otherwise, or
    below a table."""
    there = [n for n in server_names() if not why_missing(n)]
    for why in filter(None, map(why_missing, names)):
        known = ", ".join(there) or "none"
        parser.exit(2, f"{parser.prog}: {why}; there are {known}\n")


def fingerprint(path):
    """What tells one build of a program from another."""
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:12]


def missing_package(peer):
    """The package that it cannot be built without, "" if nothing is missing."""
    package, sign = PEERS[peer]
    places = ["/usr/include", "/usr/local/include"]
    for variable in ("PATH", "CPATH"):
        places += os.environ.get(variable, "").split(":")
    there = any(os.path.isfile(os.path.join(p, sign)) for p in places)
    return "" if there else package


def request(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


def read_reply(stream):
    """One reply as its raw bytes, whatever it is made of."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise Failed(f"the server ended the conversation after {line!r}")
    kind, count = line[:1], line[1:].strip()
    if kind == b"$" and int(count) >= 0:
        return line + stream.read(int(count) + 2)
    if kind == b"*":
        return line + b"".join(read_reply(stream) for _ in range(int(count)))
    return line


class Ended(Failed):
    """A contestant ended a conversation."""


class Running:
    """A started contestant. Ends it when the `with` block is left, and then
    `said` is what it wrote to stderr."""

    def __init__(self, name, process, port, errors, host=LOOPBACK):
        self.name = name
        self.pid = process.pid
        self.host = host
        self.port = port
        self.said = ""
        self._process = process
        self._errors = errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.said = self.stop()

    def connect(self):
        peer = socket.create_connection((self.host, self.port), timeout=20)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer

    def ask(self, *words):
        """One request over a connection of its own; the raw reply."""
        with self.connect() as peer, peer.makefile("rb") as stream:
            peer.sendall(request(*words))
            return read_reply(stream)

    def echo_reply(self, text):
        """What a right answer to ECHO is; an echo peer repeats the request."""
        if echo_peer(self.name):
            return request("ECHO", text)
        return b"$%d\r\n%s\r\n" % (len(text), text.encode())

    def echo(self, peer, text):
        """One ECHO over an open connection; its answer must be right."""
        expected = self.echo_reply(text)
        peer.sendall(request("ECHO", text))
        answer = b""
        while len(answer) < len(expected):
            got = peer.recv(len(expected) - len(answer))
            if not got:
                raise Ended(f"{self.name} ended after {answer!r} of an ECHO")
            answer += got
            if not expected.startswith(answer):
                raise Failed(f"{self.name} answered an ECHO with {answer!r}")

    def calls(self):
        """Calls so far by name, from INFO; {} where it has none. System calls,
        or those of the C library by which a model has them made."""
        reply = self.ask("INFO", "syscalls")
        found = {}
        for line in reply.decode(errors="replace").split("\r\n"):
            if line.startswith(("syscall_", "library_")):
                name, _, count = line.partition("_")[2].partition(":")
                found[name] = int(count)
        return found

    def cpu_seconds(self):
        """User and system time of all its threads, the ended ones included:
        the sum of utime and stime of /proc/PID/stat, which has ticks of 10 ms,
        read from the clock behind it, which has ns (clock_getcpuclockid(3))."""
        return time.clock_gettime(process_clock(self.pid))

    def settled_cpu_seconds(self):
        """The same once it has done what the last load left it to do (to close
        its connections), which shows when the time stands still."""
        before = self.cpu_seconds()
        for _ in range(20):
            time.sleep(0.001)
            now = self.cpu_seconds()
            if now == before:
                break
            before = now
        return before

    def anonymous_bytes(self):
        """Memory of its own that is not a file's (proc(5), smaps_rollup)."""
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("Anonymous:"):
                    return int(line.split()[1]) * 1024
        raise Failed("smaps_rollup has no line Anonymous")

    def terminate(self):
        """SIGTERM, and no waiting; once it has ended, nothing."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self):
        """SIGTERM, then whatever it takes. Returns what it wrote to stderr."""
        self.terminate()
        # Whatever interrupts the waiting, nothing of it is left.
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace")
        self._errors.close()
        return text


def process_clock(pid):
    clock = ctypes.c_int()
    if ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise Failed(f"process {pid} has no CPU clock")
    return clock.value


def pin(cpus):
    """For preexec_fn: the process and all threads it will have run there, on a
    CPU or on any of several."""
    if cpus is None:
        return None
    chosen = {cpus} if isinstance(cpus, int) else cpus
    return lambda: os.sched_setaffinity(0, chosen)


def start(name, cpu=None, wrapper=(), options=(), address=(LOOPBACK, 0)):
    """Starts a contestant on a CPU, below a wrapper such as valgrind, and
    returns it Running once it can be connected to: there, at any port for 0."""
    if name == REDIS:
        return start_redis(cpu, wrapper, options, address)
    program = program_of(name)
    errors = tempfile.TemporaryFile()
    with socket.socket() as listener:
        # Bound here and inherited: no port can be taken in between.
        bind(listener, address)
        port = listener.getsockname()[1]
        fd = str(listener.fileno())
        process = subprocess.Popen(
            [*wrapper, program, "--listen-fd", fd, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=(listener.fileno(),),
            preexec_fn=pin(cpu),
        )
    line = read_ready_line(process)
    running = Running(name, process, port, errors, address[0])
    if not line.startswith("ready "):
        code = process.poll()
        text = running.stop().strip()
        last = text.splitlines()[-1] if text else f"said {line!r}"
        if code == REFUSED:
            raise Skipped(last)
        raise Failed(f"{name} did not become ready (exit code {code}): {last}")
    return running


def bind(listener, address):
    """A port that was given has belonged to the contestant before."""
    if address[1]:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        host, port = address
        raise Failed(f"{host}:{port}: {error.strerror}") from None


def read_ready_line(process):
    """The first line of its output; "" if it ends or is silent for long."""
    if not select.select([process.stdout], [], [], READY_SECONDS)[0]:
        return ""
    line = process.stdout.readline().decode(errors="replace")
    if not line:
        process.wait()
    return line


def start_redis(cpu, wrapper, options, address):
    host = address[0]
    with socket.socket() as probe:
        bind(probe, address)
        port = probe.getsockname()[1]
    errors = tempfile.TemporaryFile()
    settings = {
        "port": port,
        "bind": host,
        # Where it has no password, it answers nobody but its own host.
        "protected-mode": "no",
        "save": "",
        "appendonly": "no",
        "io-threads": "1",
        "daemonize": "no",
        "dir": scratch(),
        "logfile": "",
    }
    words = [w for k, v in settings.items() for w in (f"--{k}", str(v))]
    process = subprocess.Popen(
        [*wrapper, redis_program(), *words, *options],
        stdin=subprocess.DEVNULL,
        stdout=errors,
        stderr=errors,
        preexec_fn=pin(cpu),
    )
    running = Running(REDIS, process, port, errors, host)
    give_up = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < give_up:
        try:
            running.ask("PING")
            return running
        except OSError:
            time.sleep(0.02)
    raise Failed(f"redis did not become ready: {running.stop()[-300:]}")
