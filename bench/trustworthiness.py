"""Is the load good enough to measure with?

Demands, each printed with what was found:

  cost      requests per CPU second at pipeline 16, every answer compared,
            against redis-benchmark's, which compares none: at least 1.3
  median    closed loop, 1 and 50 connections: its p50 against that of
            redis-benchmark: between 0.8 and 1.2
  lag       open loop, 50 000 requests per second: how late it sends, p99:
            at most 50 us
  verdicts  of 20 healthy runs at least 19 are VALID; of 10 runs of a load that
            was held up none is
  faults    planted, each has to be found in every run: a load that sends in
            bursts (gaps_p), a server that becomes slower (stationarity_p), one
            that is slow by turns (effective_n), one that is asked for more than
            it can (rate), and a load of half the size (its rate changes when it
            is doubled)
  reach     how much more the load drives of the cheapest peer, bare-echo, than
            of the server: at least 1.5, or the server's rate says what the load
            can do

Ratios are of runs beside each other, first one and then the other in turn; the
estimate is their median, with its 95 % interval (bench/paired.py). They are
judged as everywhere here: a demand FAILS only where the whole interval is
beyond it. Server and load have a CPU each: with only one, the lag and the
verdicts have no sense.
"""

import argparse
import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import children
import contestants
import load_run
import measure
import observe
import paired
import records
import tests_of_load
from contestants import Failed, Skipped

TEXT = "x" * 32
SERVER = "epoll-level"
COST_MIN = 1.3
MEDIAN_MIN, MEDIAN_MAX = 0.8, 1.2
LAG_RATE, LAG_MAX_US = 50_000, 50
HEALTHY, HEALTHY_MIN = 20, 19
HELD_UP = 10
PLANTED = 5  # runs of each fault
PLANTED_RATE = 4000
PACED_SECONDS = 0.001  # for each answer: a quarter of that rate
LEVEL = 0.001  # of the load's own tests
THINNED = 5  # of a server that is slow by turns, so many samples are one
OVERLOADED = 0.8  # of what it was asked for
DOUBLED = 1 + tests_of_load.DOUBLED_MAX
REACH_MIN = tests_of_load.NULL_MIN
DEMANDS = "cost", "median", "lag", "verdicts", "faults", "reach"
STOLEN_MAX = 0.01  # of a run that counts as healthy
TRIES_MAX = 2  # disturbed runs for each healthy one, and no more
SECONDS_OF_EACH = 1.5
HEALTHY_LOADS = (
    ("--connections", "1"),
    ("--connections", "10", "--rate", "10000", "--idle", "1000"),
    ("--connections", "50", "--rate", "5000"),
    ("--connections", "50", "--rate", "20000", "--arrivals", "fixed"),
)
REACH_LOAD = ("--connections", "64", "--warmup", "0.2")
# A load that sends in bursts.
STOPS_AND_GOES = """"$@" & load=$!
while kill -STOP $load 2>/dev/null; do
  sleep 0.01; kill -CONT $load; sleep 0.02
done; wait $load"""
# A load that takes turns with a loop that never sleeps, and one that stands
# still for a while, within the time that it measures.
SHARES_ITS_CPU = """while :; do :; done & busy=$!
"$@"; code=$?; kill $busy; exit $code"""
STANDS_STILL = """"$@" & load=$!
sleep %.3f; kill -STOP $load; sleep %.3f; kill -CONT $load; wait $load"""


@contextlib.contextmanager
def held_up_by_turns(pid, asleep, period=0.02):
    """Meanwhile that process stands still for a part of each period: for
    `asleep` of how many seconds have passed."""
    over = threading.Event()

    def hold_up():
        begin = time.monotonic()
        while not over.is_set():
            rest = period * min(max(asleep(time.monotonic() - begin), 0), 0.95)
            if rest > 0:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(rest)
                os.kill(pid, signal.SIGCONT)
            time.sleep(period - rest)

    holder = threading.Thread(target=hold_up)
    holder.start()
    try:
        yield
    finally:
        over.set()
        holder.join()


class Paced:
    """A server of one connection that sends back what comes, in pieces as long
    as a request, and rests after each."""

    SIZE = len(contestants.request("ECHO", TEXT))

    def __init__(self):
        self.answered = 0
        self._listener = socket.create_server((contestants.LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self):
        with contextlib.suppress(OSError), self._listener.accept()[0] as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while asked := peer.recv(self.SIZE, socket.MSG_WAITALL):
                self.answered += 1
                peer.sendall(asked)
                time.sleep(PACED_SECONDS)


@dataclasses.dataclass(frozen=True)
class Run:
    """What one run of a load came to."""

    requests: int
    cpu_s: float
    p50_us: float

    @property
    def per_cpu_second(self):
        return self.requests / self.cpu_s


class Bench:
    """Both loads, against one server."""

    def __init__(self, server, where, program, seconds):
        self._server, self._port, self._where = server, server.port, where
        self._program, self._seconds = program, seconds

    @property
    def seconds(self):
        return self._seconds

    def beside(self, asleep, *words):
        """The load's object, with the server held up by turns meanwhile."""
        words = (*words, "--warmup", "0")
        with held_up_by_turns(self._server.pid, asleep):
            return self.own(*words)[0]

    def of_paced(self):
        """The load's object, and how much it was answered in its time, of a
        server that answers a thousand times a second at most."""
        answered = []

        def watch(line):
            if line == load_run.LINE_MEASURED:
                answered.append(paced.answered)

        with Paced() as paced:
            words = ("--connections", "1", "--raw", "--warmup", "0")
            command = Bench(paced, self._where, self._program, self._seconds)
            found = load_run.run(
                command._command(*words, "--rate", str(PLANTED_RATE)),
                self._seconds, self._where.load_cpus, watch,
            )  # fmt: skip
        return found, answered[0]

    def of_peer(self, name):
        """The rate of a closed loop that asks a peer instead."""
        with contestants.start(name, self._where.server_cpu) as peer:
            other = Bench(peer, self._where, self._program, self._seconds)
            return other.own("--raw", *REACH_LOAD)[0]["rate"]

    def own(self, *words):
        """The object that the load writes, and its CPU time from its start to
        its end, in seconds."""
        return self._measured(self._command(*words))

    def held_up(self, script):
        words = ("--connections", "10", "--warmup", "0")
        if script == STOPS_AND_GOES:
            words += ("--rate", str(PLANTED_RATE))
        if script == STANDS_STILL:
            script %= self._seconds / 3, self._seconds / 4
        shell = ["sh", "-c", script, "sh"]
        return self._measured([*shell, *self._command(*words)])

    def _command(self, *words):
        place = f"127.0.0.1:{self._port}"
        return [self._program, place, "--duration", str(self._seconds), *words]

    def _measured(self, command):
        before = os.times()
        found = load_run.run(command, self._seconds, self._where.load_cpus)
        after = os.times()
        return found, children_seconds(after) - children_seconds(before)

    def ours(self, connections, depth):
        found, cpu = self.own(
            "--connections", str(connections), "--depth", str(depth),
            "--warmup", "0",
        )  # fmt: skip
        if found["errors"]:
            raise Failed(found["first_error"])
        return Run(found["requests"], cpu, found["latency_us"]["p50"])

    def theirs(self, connections, depth, requests):
        """redis-benchmark, for so many requests."""
        command = [
            "redis-benchmark", "-h", "127.0.0.1", "-p", str(self._port),
            "--csv", "-c", str(connections), "-P", str(depth),
            "-n", str(requests), "ECHO", TEXT,
        ]  # fmt: skip
        before = os.times()
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=300,
            preexec_fn=load_run.pin_to(self._where.load_cpus),
        )
        cpu = children_seconds(os.times()) - children_seconds(before)
        if done.returncode != 0:
            raise Failed(f"redis-benchmark: {done.stderr.strip()[-300:]}")
        return Run(requests, cpu, median_us(done.stdout))

    def pairs(self, connections, depth, count):
        """So many runs of each beside each other, about as long."""
        requests = self.ours(connections, depth).requests
        both = []
        for number in range(count):
            if number % 2:
                theirs = self.theirs(connections, depth, requests)
            ours = self.ours(connections, depth)
            if number % 2 == 0:
                theirs = self.theirs(connections, depth, requests)
            both.append((ours, theirs))
        return both


def children_seconds(times):
    return times.children_user + times.children_system


def median_us(csv):
    """The p50 in what redis-benchmark --csv prints; its header names it."""
    names, values = (
        [word.strip('"') for word in line.split(",")]
        for line in csv.strip().splitlines()[-2:]
    )
    return float(values[names.index("p50_latency_ms")]) * 1000


def judge(found, low=None, high=None):
    """A demand on a ratio, by its interval."""
    if found.low is None:
        return paired.INCONCLUSIVE
    if (low is not None and found.high < low) or (
        high is not None and found.low > high
    ):
        return paired.FAILS
    within = (low is None or found.low >= low) and (
        high is None or found.high <= high
    )
    return paired.HOLDS if within else paired.OPEN


class Report:
    """Says each result as it comes, and records it."""

    def __init__(self, record):
        self._record = record
        self.failed = False

    def say(self, name, found, demand, verdict, **values):
        print(f"{name:<16} {found:<28} {demand:<20} {verdict}", flush=True)
        self.failed |= verdict == paired.FAILS
        self._record(name=name, demand=demand, verdict=verdict, **values)

    def say_ratio(self, name, ratios, low, high):
        found = paired.estimate(ratios)
        demand = f">= {low}" if high is None else f"{low} to {high}"
        self.say(
            name, str(found), demand, judge(found, low, high),
            ratios=ratios,
        )  # fmt: skip


def check_cost(bench, report, count):
    pairs = bench.pairs(50, 16, count)
    ratios = [a.per_cpu_second / b.per_cpu_second for a, b in pairs]
    report.say_ratio("cost, P16", ratios, COST_MIN, None)


def check_median(bench, report, count):
    for connections in (1, 50):
        pairs = bench.pairs(connections, 1, count)
        ratios = [a.p50_us / b.p50_us for a, b in pairs]
        report.say_ratio(
            f"median, c{connections}", ratios, MEDIAN_MIN, MEDIAN_MAX
        )


def check_lag(bench, report, count):
    found = [
        bench.own("--rate", str(LAG_RATE), "--connections", "50")[0]
        for _ in range(count)
    ]
    lags = sorted(lag_of(run) for run in found)
    middle = paired.median(lags)
    verdict = paired.HOLDS if middle <= LAG_MAX_US else paired.FAILS
    text = f"{middle:.1f} us [{lags[0]:.1f} {lags[-1]:.1f}]"
    report.say(
        "lag, p99", text, f"<= {LAG_MAX_US} us", verdict, lags_us=lags
    )


def lag_of(run):
    """A run too short for a p99 has its worst."""
    lag = run["send_lag_us"]
    return lag["max"] if lag["p99"] is None else lag["p99"]


def check_verdicts(bench, report, healthy, held_up):
    found, stolen = healthy_runs(bench, healthy)
    least = healthy * HEALTHY_MIN // HEALTHY
    say_verdicts(report, "healthy: VALID", found, "VALID", least, healthy)
    if stolen:
        print(f"  {stolen} more were no healthy ones: the hypervisor took "
              "the processor meanwhile", flush=True)  # fmt: skip
    scripts = [(SHARES_ITS_CPU, STANDS_STILL)[n % 2] for n in range(held_up)]
    found = [bench.held_up(script)[0] for script in scripts]
    say_verdicts(report, "held up: not", found, "INVALID", held_up, held_up)


def is_below_level(p):
    return p is not None and p < LEVEL


def is_burst(run, _):
    return run["verdict"] == "INVALID" and is_below_level(run["gaps_p"])


def is_drift(run):
    return run["verdict"] == "INVALID" and is_below_level(
        run["stationarity_p"]
    )


def is_thinned(run):
    return run["effective_n"] * THINNED < run["requests"]


def is_overload(run, answered):
    """Its rate is what was answered within its time, and no more."""
    return (
        run["limited_by"] != "schedule"
        and run["rate"] < OVERLOADED * run["offered"]
        and run["rate"] * run["duration_s"] <= answered
    )


def check_faults(bench, report, count):
    """Each is planted so many times, and is to be found each time."""
    words = "--connections", "10", "--rate", str(PLANTED_RATE)

    def rises(passed):
        return 0.9 * passed / bench.seconds

    planted = (
        ("bursts", is_burst, lambda: bench.held_up(STOPS_AND_GOES)),
        ("drift", is_drift, lambda: (bench.beside(rises, *words),)),
        ("turns", is_thinned,
         lambda: (bench.beside(lambda _: 0.5, *words),)),
        ("overload", is_overload, bench.of_paced),
    )  # fmt: skip
    for name, is_found, run in planted:
        runs = [run() for _ in range(count)]
        found = [is_found(*run) for run in runs]
        say_planted(
            report, name, found, runs=[figures_of(run[0]) for run in runs]
        )
    check_doubling(bench, report, count)


def say_planted(report, name, found, **values):
    verdict = paired.HOLDS if all(found) else paired.FAILS
    report.say(
        f"planted: {name}", f"found in {sum(found)} of {len(found)}",
        f">= {len(found)}", verdict, **values,
    )  # fmt: skip


def figures_of(run):
    """What a fault is found by."""
    names = (
        "verdict", "reason", "requests", "duration_s", "offered", "rate",
        "limited_by", "effective_n", "gaps_p", "stationarity_p",
    )  # fmt: skip
    return {name: run[name] for name in names}


def check_doubling(bench, report, count):
    """One connection asks half of what two ask: a load that is so small is what
    limits, and doubling it shows that."""

    def rate(connections):
        return bench.ours(connections, 1).requests

    ratios = [rate(2) / rate(1) for _ in range(count)]
    found = [ratio > DOUBLED for ratio in ratios]
    say_planted(report, "halved", found, ratios=ratios)


def check_reach(bench, report, count):
    """Not a demand on the load alone: on few CPUs no load is that much quicker.
    Then it is said what a rate of this server means."""
    ratios = [
        bench.of_peer(contestants.BARE) / bench.own(*REACH_LOAD)[0]["rate"]
        for _ in range(count)
    ]
    middle = paired.median(ratios)
    verdict = paired.HOLDS if middle >= REACH_MIN else paired.OPEN
    report.say(
        "reach", f"{middle:.2f} of the server's", f">= {REACH_MIN}", verdict,
        ratios=ratios,
    )  # fmt: skip
    if verdict == paired.OPEN:
        print("  so the rate of a closed loop with many connections is a lower "
              "bound of the server's", flush=True)  # fmt: skip


def healthy_runs(bench, count):
    """So many runs that nobody disturbed much, and how many others there were.
    A virtual machine can see only this one kind of disturbance: time that was
    stolen from its processors (proc(5), stat)."""
    found, stolen = [], 0
    while len(found) < count and stolen < TRIES_MAX * count:
        words = HEALTHY_LOADS[len(found) % len(HEALTHY_LOADS)]
        before = observe.machine_cpu()["stolen"]
        run, _ = bench.own(*words)
        stole = observe.machine_cpu()["stolen"] - before
        if stole > STOLEN_MAX * run["duration_s"]:
            stolen += 1
        else:
            found.append(run)
    return found, stolen


def say_verdicts(report, name, runs, wanted, least, count):
    """Of so many runs, if that many could be made."""
    right = sum(run["verdict"] == wanted for run in runs)
    verdict = paired.HOLDS if right >= least else paired.FAILS
    if len(runs) < count:
        verdict = paired.INCONCLUSIVE
    reasons = [run["reason"] for run in runs]
    report.say(
        name, f"{right} of {len(runs)}", f">= {least}", verdict,
        reasons=reasons,
    )  # fmt: skip
    for run in runs:
        if run["verdict"] != wanted:
            print(f"  {run['verdict']} {run['reason']}", flush=True)


def parse_arguments(words):
    parser = argparse.ArgumentParser(
        prog="bench/trust",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--pairs", type=int, default=15, help="(default: 15)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS_OF_EACH,
        help=f"of each run (default: {SECONDS_OF_EACH})",
    )  # fmt: skip
    parser.add_argument(
        "--only", default=",".join(DEMANDS), metavar="LIST",
        help="which of these (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--client", help="by which client (default: the first that can run)"
    )
    parser.add_argument("--server", default=SERVER, help=f"(default: {SERVER})")
    parser.add_argument("--results", help="write them there, as JSON lines")
    options = parser.parse_args(words)
    if options.pairs < 1 or not options.seconds > 0:
        parser.error("--pairs and --seconds must be above 0")
    options.only = set(options.only.split(","))
    if unknown := options.only - set(DEMANDS):
        parser.error(f"no demand {unknown.pop()}")
    return options


def check(bench, report, options):
    count = options.pairs
    if "cost" in options.only:
        check_cost(bench, report, count)
    if "median" in options.only:
        check_median(bench, report, count)
    if "lag" in options.only:
        check_lag(bench, report, count)
    if "verdicts" in options.only:
        healthy = HEALTHY if count > 1 else len(HEALTHY_LOADS)
        held_up = HELD_UP if count > 1 else 2
        check_verdicts(bench, report, healthy, held_up)
    planted = PLANTED if count > 1 else 1
    if "faults" in options.only:
        check_faults(bench, report, planted)
    if "reach" in options.only:
        check_reach(bench, report, planted)


def main(words):
    options = parse_arguments(words)
    where = measure.placement(pinned=True)
    try:
        program = load_run.program(options.client)
        with (
            records.Records(options.results) as there,
            children.supervised(),
            contestants.start(options.server, where.server_cpu) as server,
        ):
            bench = Bench(server, where, program, options.seconds)
            print(f"{where}; {options.server}, {program.rpartition('/')[2]}")
            report = Report(there.write)
            check(bench, report, options)
            return int(report.failed)
    except Skipped as reason:
        print(f"SKIP trust: {reason}")
        return contestants.REFUSED
    except (Failed, OSError, subprocess.SubprocessError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except children.Interrupted as signal:
        return 128 + signal.number
