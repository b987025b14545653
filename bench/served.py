"""A contestant while it serves: started for a scenario, and asked for INFO."""

import contextlib
import functools
import re
import subprocess
import tempfile

import contestants
from contestants import REDIS, Failed, Running, Skipped
from scenarios import RING_SERVERS

TEXT = "x" * 32
COUNTED = ("syscall_", "library_")
COMMANDS = "total_commands_processed"
MODEL_SECTION = "# Model"
ADDRESS = re.compile(r"\S+:(\d+)\n")


def parse_info(text):
    """What INFO tells of system calls and of the model, by name, and of the
    commands that were answered."""
    calls, model, commands, section = {}, {}, {}, ""
    for line in text.splitlines():
        if line.startswith("#"):
            section = line.strip()
        name, _, value = line.partition(":")
        if not value.strip().isdigit():
            continue
        if name == COMMANDS:
            commands[name] = int(value)
        elif name.startswith(COUNTED):
            calls[name.partition("_")[2]] = int(value)
        elif section == MODEL_SECTION:
            model[name] = int(value)
    return {"calls": calls, "model": model, "commands": commands}


def add_counts(sum_of_all, counts):
    for name, count in counts.items():
        sum_of_all[name] = sum_of_all.get(name, 0) + count


class Served:
    """`running` is what was started, `ports` where its servers are, `asked`
    whether it has an INFO to be asked for. Its connections for that are opened
    now, so that opening them is not among what is counted."""

    def __init__(self, running, ports, asked):
        self.running = running
        self.pid = running.pid
        self.is_ring = len(ports) > 1
        self.port = ports[0]
        self.address = f"{running.host}:{self.port}"
        self._peers = []
        if asked:
            for port in ports:
                running.port = port
                self._peers.append(running.connect())
            running.port = self.port

    def info(self):
        """As parse_info, of all servers together."""
        found = parse_info("")
        for peer in self._peers:
            peer.sendall(contestants.request("INFO"))
            with peer.makefile("rb") as stream:
                reply = contestants.read_reply(stream)
            told = parse_info(reply.decode(errors="replace"))
            for kind, counts in told.items():
                add_counts(found[kind], counts)
        return found

    def close(self):
        for peer in self._peers:
            peer.close()


@functools.cache
def traits(name):
    """What a server promises, by docs/contract.md; {} for a peer."""
    if name in contestants.PEERS:
        return {}
    try:
        done = subprocess.run(
            [contestants.program_of(name), "--traits"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=contestants.READY_SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"--traits did not end in {late.timeout} s") from None
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    return {trait: value.strip() for trait, _, value in pairs}


def connections_at_once(name):
    """How many conversations it can have at a time; None for any number."""
    limit = traits(name).get("concurrent", "all")
    return int(limit) if limit.isdigit() else None


def refuse_unsuited(name, scenario):
    """Raises Skipped if what it is cannot do this scenario."""
    if scenario.ring and name in contestants.PEERS:
        raise Skipped("it has no DHT")
    if scenario.ring and traits(name).get("ring") == "no":
        raise Skipped("it is no node of a ring")
    limit = connections_at_once(name)
    if limit is not None and limit < scenario.peers:
        raise Skipped(f"it serves {limit} at once, not {scenario.peers}")


@contextlib.contextmanager
def serving(
    name, scenario, cpus, address=(contestants.LOOPBACK, 0), threads=1
):
    """A fresh process, or a ring of them, that has answered one ECHO; where
    contestants.start has it."""
    refuse_unsuited(name, scenario)
    limit = connections_at_once(name)
    can_be_asked = not contestants.echo_peer(name) and (
        limit is None or limit > scenario.peers
    )
    if scenario.ring:
        running, ports = start_ring(name, cpus, address)
    else:
        running = contestants.start(
            name,
            cpus,
            options=options(name, scenario, threads),
            address=address,
        )
        ports = [running.port]
    with running:
        with running.connect() as peer:
            running.echo(peer, TEXT)
        with contextlib.closing(Served(running, ports, can_be_asked)) as served:
            yield served


def options(name, scenario, threads=1):
    """Redis has a limit of its own; ours take what their descriptors allow, and
    so many threads if they have several."""
    if name == REDIS:
        return "--maxclients", str(scenario.peers + 32)
    if threads == 1 or traits(name).get("threads", "none") == "none":
        return ()
    return "--threads", str(threads)


def start_ring(name, cpus, address):
    """A ring of servers of one program, by the suite's `ring`; its process, and
    the ports of the servers, which are those from `address` on, or any."""
    host, port = address
    errors = tempfile.TemporaryFile()
    process = subprocess.Popen(
        [
            contestants.BIN / "ring",
            "--servers", contestants.program_of(name),
            "--count", str(RING_SERVERS), "--serve",
            "--bind", host, "--port", str(port),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        preexec_fn=contestants.pin(cpus),
    )  # fmt: skip
    lines = [contestants.read_ready_line(process)]
    while len(lines) < RING_SERVERS and ADDRESS.fullmatch(lines[-1]):
        lines.append(process.stdout.readline().decode())
    ports = [int(found[1]) for found in map(ADDRESS.fullmatch, lines) if found]
    running = Running(name, process, ports[0] if ports else 0, errors, host)
    if len(ports) == RING_SERVERS:
        return running, ports
    raise why_no_ring(running, process, lines[-1])


def why_no_ring(running, process, said):
    """Skipped or Failed, once it has ended."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(contestants.STOP_SECONDS)
    code = process.returncode
    last = (running.stop() + said).strip().splitlines()[-1:]
    text = last[0].removeprefix("SKIP ") if last else "it said nothing"
    if code == contestants.REFUSED:
        return Skipped(text)
    return Failed(f"its ring ended with {code}: {text}")
