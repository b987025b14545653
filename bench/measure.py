"""One cell: a fresh server, a load, and what both came to."""

import dataclasses
import os
import time

import contestants
import load_run
import observe
import placement as placing
import saturation
import scenarios
import served as servers
from contestants import Failed

LATER = 0.8  # of the measured time


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where server and load run on this machine."""

    cpus: placing.Cpus = placing.Cpus()
    warmup_seconds = None  # the load's, or what the scenario says

    def __str__(self):
        return str(self.cpus)

    @property
    def server_cpu(self):
        """The first, for a server of one thread; None for any."""
        return min(self.cpus.server) if self.cpus.server else None

    @property
    def load_cpus(self):
        return self.cpus.load

    @property
    def doubt(self):
        return self.cpus.doubt

    def describe(self):
        """For the journal."""
        return {"machine": observe.describe_machine()}

    def serving(self, name, scenario, threads=1):
        return servers.serving(
            name, scenario, self.cpus.server, threads=threads
        )

    def watcher(self, served, seconds, with_memory):
        return Watcher(served, seconds, with_memory)

    def run_load(self, command, scenario, seconds, watch):
        """As load_run.run."""
        return load_run.run(command, seconds, self.load_cpus, watch)

    def rest(self, served, seconds):
        return rest(served, seconds)

    def step_aside(self):
        """To where neither is. With two CPUs there is no such place: then it is
        whichever is idle when there is something to look at."""
        if self.cpus.own:
            os.sched_setaffinity(0, self.cpus.own)


def placement(pinned, server_threads=1, load_threads=None):
    """The server has a CPU of its own where there are two."""
    allowed = os.sched_getaffinity(0) if pinned else frozenset()
    return Placement(
        placing.place(
            allowed, observe.siblings, server_threads, load_threads
        )
    )


class Watcher:
    """Looks at server and machine when the load begins to measure, and once more
    while it still does: at the end it closes its connections at once, and a
    thread that ends takes its counts with it. A server of ten thousand threads
    was seen a second later than that, and said to be cheap."""

    def __init__(self, served, seconds, with_memory=False, asks=True):
        self._served = served
        self.tick = LATER * seconds  # until it wants to look again
        self._asks = asks
        # A process of thousands of threads stands still while its memory is
        # counted: only where it is asked for.
        self._with_memory = with_memory
        self._memory_seen = [self._memory()]
        self._threads = self._peak_bytes = 0
        self.before = self.later = None
        self.is_done = False

    def __call__(self, said):
        if said == load_run.LINE_WARMING:
            self._memory_seen.append(self._memory())
        elif said == load_run.LINE_MEASURING:
            # Of a load that does not say when all are connected.
            if len(self._memory_seen) == 1:
                self._memory_seen.append(self._memory())
            self.before = self._look()
        elif said == load_run.LINE_MEASURED:
            self.is_done = self.before is not None
        if self.later is None and (self.is_done or self._is_time()):
            self.later = self._look()

    def _is_time(self):
        if self.before is None:
            return False
        passed = time.monotonic() - self.before["at"]
        return passed > self.tick

    def _look(self):
        processes = observe.Processes(self._served.pid)
        found = clocks(processes) | self._counts(processes)
        self._threads = max(self._threads, processes.threads())
        self._peak_bytes = max(self._peak_bytes, processes.peak_bytes())
        return found

    def _counts(self, processes):
        info = self._served.info() if self._asks else servers.parse_info("")
        return {
            "info": info,
            "counted_at": time.monotonic(),
            "switches": processes.switches(),
        }

    def _memory(self):
        """Own and kernel's, in bytes."""
        if not self._with_memory:
            return None
        own = observe.Processes(self._served.pid).anonymous_bytes()
        return {"own": own, "kernel": observe.kernel_bytes()}

    def found(self, rate):
        """Totals, and what a request took of them, of which so many were
        answered in a second: time and switches are divided as rates, for where
        there are thousands of processes, a look at them takes long."""
        names = ("at", "server", "busy", "stolen")
        spent = {name: self.later[name] - self.before[name] for name in names}
        answered = rate * spent["at"]
        return {
            "spent_s": spent,
            "server_cpu_us": per(answered, spent["server"] * 1e6),
            "machine_cpu_us": per(answered, spent["busy"] * 1e6),
            "threads": self._threads,
            "peak_bytes": self._peak_bytes,
            "memory": dict(zip(("before", "measuring"), self._memory_seen)),
            **self._counted(rate),
        }

    def _counted(self, rate):
        before, later = self.before, self.later
        seconds = later["counted_at"] - before["counted_at"]
        counts = {
            kind: subtract(later["info"][kind], before["info"][kind])
            for kind in later["info"]
        }
        # The server's own count is exact, and a ring's has the questions that
        # its members ask each other.
        commands = sum(counts.pop("commands").values())
        requests = rate * seconds if self._served.is_ring else commands
        switches = observe.switches_between(
            before["switches"], later["switches"]
        )
        return {
            **counts,
            "commands": commands,
            "calls_per_request": {
                name: per(requests, count)
                for name, count in counts["calls"].items()
            },
            "switches_per_s": switches
            and {kind: count / seconds for kind, count in switches.items()},
        }


def clocks(processes):
    """All at once, in seconds."""
    machine = observe.machine_cpu()
    now = time.monotonic()
    return {"at": now, "server": processes.cpu_seconds(), **machine}


def subtract(after, before):
    return {name: count - before.get(name, 0) for name, count in after.items()}


def per(whole, total):
    """None of nothing."""
    return total / whole if whole else None


def measure(cell, plan, where, load):
    """The cell's fields. `where` is a Placement, or a Lab, which has the same
    methods; `load` is the program. Raises Skipped or Failed."""
    scenario = scenarios.find(cell.scenario)
    if cell.contestant.is_doubled:
        scenario = scenario.doubled()
    name = cell.contestant.name
    if plan.clients:
        name, load = plan.server, load_run.program(name)
    with where.serving(name, scenario, plan.server_threads) as served:
        if scenario.metric == scenarios.REST:
            return where.rest(served, plan.seconds)
        found = under_load(served, scenario, cell, plan, where, load)
    return found | {"clients": True} if plan.clients else found


def under_load(served, scenario, cell, plan, where, load):
    watcher = where.watcher(served, plan.seconds, bool(scenario.idle))
    more = [*threads(scenario, plan), *raw(cell.contestant.name)]

    def run(rate, watch=None):
        # Blocks differ in their seed; who is compared within one does not.
        words = scenario.arguments(
            plan.seconds, plan.seed + cell.block, rate, where.warmup_seconds
        )
        command = [load, served.address, *words, *more]
        return where.run_load(command, scenario, plan.seconds, watch)

    if plan.bound_us is None:
        fields = outcome(run(plan.rate, watcher))
    else:
        found = saturation.search(run, plan.seconds, plan.bound_us)
        result = run(found.rate, watcher)
        fields = outcome(result) | found.judge(result, plan.bound_us)
    return fields | seen(watcher, fields)


def threads(scenario, plan):
    """How the load is told from how many threads it asks, if from several. With
    less than one connection for each it asks from one; and beside idle ones,
    since of several the first says `warming` before the others are connected,
    and the server's memory is read then."""
    few = scenario.idle or scenario.connections < plan.load_threads
    count = 1 if few else plan.load_threads
    return ["--threads", str(count)] if count > 1 else []


def seen(watcher, fields):
    """What it found. A load that gave up before it had measured says why; or
    else it is none of ours."""
    if watcher.is_done:
        return watcher.found(fields["served_per_s"])
    if fields["verdict"] == "VALID":
        raise Failed("the load did not say when it measured")
    return {}


def raw(name):
    """How the load is told that the answer is the request itself."""
    return ["--raw"] if contestants.echo_peer(name) else []


def outcome(result):
    kept = ("verdict", "reason", "rate", "requests", "errors", "first_error")
    fields = {name: result[name] for name in kept}
    fields |= {"latency_us": result["latency_us"], "load": result}
    # The flooder has no part in the rate, but in the server's work.
    flood = per(result["duration_s"], result.get("flooder_requests", 0)) or 0
    return fields | {"served_per_s": result["rate"] + flood}


def rest(served, seconds):
    """An idle server: what it does although nobody asks for anything."""
    peers = []
    try:
        for _ in range(scenarios.IDLE_CONNECTIONS):
            peers.append(served.running.connect())
            served.running.echo(peers[-1], servers.TEXT)
        served.running.settled_cpu_seconds()
        # Who is asked is not at rest.
        watcher = Watcher(served, seconds, asks=False)
        watcher(load_run.LINE_MEASURING)
        time.sleep(seconds)
        watcher(load_run.LINE_MEASURED)
        found = watcher.found(0)
    finally:
        for peer in peers:
            peer.close()
    return {"verdict": "VALID", "reason": "", "errors": 0} | found
