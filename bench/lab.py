"""Server and loads on hosts of their own, in the place of one machine.

The server's host runs an attendant (attendant.py), which starts the server and
looks at it; mpirun starts a load on each of the other hosts. Both get there by
what hosts.txt says (hosts.py). docs/many-hosts.md tells how to set it up.
"""

import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import textwrap
import time

import attendant
import contestants
import hosts
import load_run
import measure
import placement
from contestants import Failed, Skipped

PATIENCE_SECONDS = 60  # for an answer of an attendant
GREET_SECONDS = 30  # for the first one: ssh gives up after ten
VERDICTS = "VALID", "INVALID"
REASON_MAX = 300  # mpirun's words fill a page
LAUNCH = pathlib.Path(__file__).resolve().parent / "launch"
# What has to be let through between the hosts of the loads and this one.
DAEMON_PORTS, LOAD_PORTS = "46100-46109", (46110, 90)


def load_program(client):
    """The load that talks to others by MPI; as load_run.program."""
    if client and "/" in client:
        return load_run.program(client)
    path = contestants.BIN / (f"load-{client}-mpi" if client else "load-mpi")
    if " " in str(LAUNCH):
        raise Failed(f"{LAUNCH}: mpirun takes a blank for the path's end")
    if not shutil.which("mpirun") or not path.exists():
        raise Failed(f"no mpirun, or no {path} (make deps-hosts, then make)")
    return load_run.program(str(path))


class Lab:
    """In the place of measure.Placement."""

    # This machine's own CPUs are nobody's.
    cpus = placement.Cpus()
    warmup_seconds = None
    doubt = ""  # server and load do not share a machine

    def __init__(self, lines, pinned):
        self._lines, self._pinned = lines, pinned
        self.hosts = hosts.parse(lines)
        self._machines = {}  # by address

    def __str__(self):
        loads = ", ".join(host.address for host in self.hosts.loads)
        return f"server on {self.hosts.server.address}, loads on {loads}"

    def look_around(self, load, programs):
        """Asks each host what it is. Raises Failed if one cannot be reached, or
        has not the same programs as this one."""
        of_load = [load, *map(str, contestants.BIN.glob("load-*-mpi"))]
        for host in self.hosts.everybody():
            is_server = host.address == self.hosts.server.address
            is_load = any(host.address == h.address for h in self.hosts.loads)
            wanted = [*(of_load if is_load else ()),
                      *(programs if is_server else ())]  # fmt: skip
            self._machines[host.address] = describe(host, wanted)

    def describe(self):
        """As Placement's; the machine is the server's."""
        server = self._machines[self.hosts.server.address]
        return {"machine": server, "machines": self._machines}

    def step_aside(self):
        """It is where neither is."""

    @contextlib.contextmanager
    def serving(self, name, scenario, threads=1):
        server = self.hosts.server
        with Attended(server) as attended:
            attended.address = attended.ask(
                "start",
                name=name,
                scenario=scenario.name,
                address=[server.address, server.port],
                pinned=self._pinned,
                threads=threads,
            )
            yield attended

    def watcher(self, served, seconds, with_memory):
        return Watcher(served, seconds, with_memory)

    def rest(self, served, seconds):
        return served.ask("rest", seconds=seconds)

    def run_load(self, command, scenario, seconds, watch):
        """As load_run.run; a scenario of few connections takes few hosts."""
        ranks = min(len(self.hosts.loads), scenario.connections)
        words = mpirun(self.hosts, ranks, command)
        return load_run.run(
            words, seconds, None, watch, environment(self._lines), why
        )


def describe(host, programs):
    """Its machine. Raises Failed if it cannot be reached, or if one of its
    programs is missing or another one than here."""
    with Attended(host) as attended:
        told = attended.ask("describe", programs=programs)
    for path in programs:
        there = told["programs"].get(path)
        if there is None:
            raise Failed(f"{host.address}: no program {path}")
        if there != contestants.fingerprint(path):
            raise Failed(f"{host.address}: {path} is another build than here")
    return told["machine"]


class Attended:
    """An attendant on its host, until the `with` block is left."""

    def __init__(self, host):
        self._host = host

    def __enter__(self):
        folder = contestants.ROOT / "bench"
        words = [
            "env", f"BIN={contestants.BIN}",
            "python3", "-B", folder / "attendant.py",
        ]  # fmt: skip
        self._errors = tempfile.TemporaryFile()
        self._patience = GREET_SECONDS
        self._process = subprocess.Popen(
            self._host.command(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        return self

    def __exit__(self, *_):
        """Its input ends, and so does what it has started."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(2 * contestants.STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def ask(self, what, **fields):
        """What it answers. Raises Skipped or Failed with what it says."""
        line = json.dumps({"ask": what, **fields}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line)
            self._process.stdin.flush()
        patience, self._patience = self._patience, PATIENCE_SECONDS
        text = self._line(patience + fields.get("seconds", 0))
        try:
            answer = json.loads(text)
        except ValueError:
            # A shell's greeting, say, of a login that should say nothing.
            raise self._gone(f"said {text.decode(errors='replace')!r}")
        if attendant.SKIPPED in answer:
            raise Skipped(answer[attendant.SKIPPED])
        if attendant.FAILED in answer:
            raise Failed(answer[attendant.FAILED])
        return answer[attendant.DONE]

    def _line(self, patience):
        """One is sent for each that is asked, so that nothing is behind it."""
        give_up, line = time.monotonic() + patience, b""
        stdout = self._process.stdout
        while not line.endswith(b"\n"):
            left = max(give_up - time.monotonic(), 0)
            if not select.select([stdout], [], [], left)[0]:
                raise self._gone(f"no answer in {patience:.0f} s")
            got = os.read(stdout.fileno(), 1 << 16)
            if not got:
                raise self._gone("it has ended")
            line += got
        return line

    def _gone(self, why):
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").split("\n")
        last = [line.strip() for line in said if line.strip()][-1:]
        return Failed(": ".join([self._host.address, *(last or [why])]))


class Watcher:
    """As measure.Watcher, which looks where the server is."""

    def __init__(self, attended, seconds, with_memory):
        self._ask = attended.ask
        self.tick = measure.LATER * seconds
        self.is_done = False
        self._ask("watch", seconds=seconds, with_memory=with_memory)

    def __call__(self, said):
        # One load speaks for all: the others may still be connecting.
        if said == load_run.LINE_WARMING:
            return
        self._ask("look", said=said)
        self.is_done = said == load_run.LINE_MEASURED

    def found(self, rate):
        return self._ask("found", rate=rate)


# ---- The loads ---------------------------------------------------------------


def mpirun(where, ranks, command):
    """The words that start so many of them, the first of them on the first
    load's host, and so on."""
    parameters = {
        # Hosts are told apart by their addresses, not by what they call
        # themselves, and reached by `launch`, each from here.
        "plm": "rsh", "plm_rsh_agent": LAUNCH, "plm_rsh_no_tree_spawn": 1,
        "orte_keep_fqdn_hostnames": 1,
        "pml": "ob1", "btl": "tcp,self",
        "oob_tcp_dynamic_ipv4_ports": DAEMON_PORTS,
        "btl_tcp_port_min_v4": LOAD_PORTS[0],
        "btl_tcp_port_range_v4": LOAD_PORTS[1],
    }  # fmt: skip
    if where.network:
        parameters["oob_tcp_if_include"] = where.network
        parameters["btl_tcp_if_include"] = where.network
    words = ["mpirun", "--host", where.slots(ranks), "-np", ranks,
             "--bind-to", "none", "--leave-session-attached"]  # fmt: skip
    for name, value in parameters.items():
        words += ["--mca", name, value]
    return [str(word) for word in [*words, *command]]


def why(said):
    """What went wrong: a rank's own words; else mpirun's, which stand between
    two lines of dashes, behind those of whom it called."""
    told, banners, lines = [], [], None
    for line in filter(None, map(str.strip, said.splitlines())):
        if set(line) == {"-"}:
            lines = None if lines is not None else []
            if lines is not None:
                banners.append(lines)
        else:
            (told if lines is None else lines).append(line)
    told = [line for line in told if not line.startswith(VERDICTS)]
    for line in told:
        if line.startswith("rank "):
            return line
    texts = map(" ".join, banners)
    # That a rank did not end well is said of every INVALID one as well.
    causes = [text for text in texts if not text.startswith("Primary job")]
    parts = told[-1:] + causes[:1]
    return textwrap.shorten("; ".join(parts) or "it said nothing", REASON_MAX)


def environment(lines):
    """What mpirun needs, and `launch`, which it calls."""
    mine = os.environ | {"BENCH_HOSTS": "\n".join(lines)}
    if os.geteuid() == 0:
        # It asks twice, since a mistake of root's is a mistake everywhere.
        mine["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
        mine["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    return mine
