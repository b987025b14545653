"""What a request takes of each server, counted: system calls by name, context
switches, how many requests a wait brings, and what the model counts itself;
with 1, 10 and 100 connections.

In a round each connection asks once, one after the other, and then every
answer is awaited. So many rounds are made that the requests are as many as
--requests says: a number and not a time, so that the counts are whole. They
are differences of two INFOs, asked on one of these very connections, and of
two looks at /proc: nothing but the requests, and one INFO, lies between.

With one connection they are held to what the variant says is ideal. Exit code 1
if one misses that, or if a server does not work: then nothing is written. 2 if
there is none of that name, else 0.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import textwrap
import time

import atomic
import children
import contestants
import measure
import observe
import readme
import served
from contestants import Failed, Skipped
from records import TIME

CONNECTIONS = (1, 10, 100)
REQUESTS = 10_000
TEXT = "x" * 32
ASKED = contestants.request("ECHO", TEXT)
TOLERANCE = 0.02  # calls per request, as tests/conformance/calls.cpp has it
RESULTS = contestants.ROOT / "docs/results/counts.jsonl"
README = "README.md"
BEGIN, END = "<!-- counts: begin -->", "<!-- counts: end -->"
EXACT, LEAST = "ideal_", "least_"
WIDTH = 80


# ---- What a server tells -----------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Ideal:
    """Calls per request at one connection: exactly so many, or at least; the
    call in which the model waits, or asks, is the first of `calls`."""

    calls: dict = dataclasses.field(default_factory=dict)
    least: frozenset = frozenset()

    @classmethod
    def parse(cls, info):
        calls, least = {}, set()
        for line in info.splitlines():
            name, _, value = line.partition(":")
            for prefix in (EXACT, LEAST):
                if name.startswith(prefix):
                    call = name.removeprefix(prefix)
                    calls[call] = float(value)
                    least |= {call} if prefix == LEAST else set()
        return cls(calls, frozenset(least))

    @property
    def total(self):
        return sum(self.calls.values())

    def misses(self, made):
        """What is wrong with these calls per request, in words."""
        if not self.calls:
            return []
        wrong = []
        for call in self.calls | made:
            ideal, found = self.calls.get(call, 0.0), made.get(call, 0.0)
            off = found - ideal
            if off < -TOLERANCE or off > TOLERANCE and call not in self.least:
                wanted = "at least " if call in self.least else ""
                wrong.append(f"{call} {found:.3f}, not {wanted}{ideal:g}")
        return wrong


def ask_info(peer):
    """The text of INFO, asked on a connection that is open already."""
    peer.sendall(contestants.request("INFO"))
    with peer.makefile("rb") as stream:
        return contestants.read_reply(stream).decode(errors="replace")


def between(before, after):
    """What happened between two texts of INFO: the commands, the calls by name
    and the model's own counters."""
    first, then = map(served.parse_info, (before, after))
    found = {kind: measure.subtract(then[kind], first[kind]) for kind in then}
    return found | {"commands": sum(found["commands"].values())}


# ---- One cell ----------------------------------------------------------------


def make_rounds(running, peers, rounds):
    """Each connection asks once, then every answer is awaited; and again."""
    expected = running.echo_reply(TEXT)
    for number in range(rounds):
        try:
            for peer in peers:
                peer.sendall(ASKED)
            for peer in peers:
                await_answer(peer, expected)
        except (OSError, Failed) as error:
            done = number * len(peers)
            raise Failed(f"after {done} requests: {error}") from None


def await_answer(peer, expected):
    answer = b""
    while len(answer) < len(expected):
        got = peer.recv(len(expected) - len(answer))
        if not got:
            raise Failed("it ended a conversation")
        answer += got
    if answer != expected:
        raise Failed(f"it answered an ECHO with {answer!r}")


def look(running, peer):
    """INFO last before the requests, and first behind them: while it is asked
    nothing else is going on."""
    processes = observe.Processes(running.pid)
    return {
        "switches": processes.switches(),
        "threads": processes.threads(),
        "processes": processes.count(),
        "info": ask_info(peer),
    }


def sizes_for(name):
    """How many connections there are, as many as it serves at once at most."""
    limit = served.connections_at_once(name)
    return sorted({min(n, limit or n) for n in CONNECTIONS})


def count(name, connections, requests, cpu=None):
    """The cell, of a fresh process. Raises Skipped, Failed, OSError."""
    rounds = max(requests // connections, 1)
    with contestants.start(name, cpu) as running, contextlib.ExitStack() as end:
        peers = []
        for _ in range(connections):
            peers.append(end.enter_context(running.connect()))
            running.echo(peers[-1], TEXT)
        before = look(running, peers[0])
        make_rounds(running, peers, rounds)
        after = look(running, peers[0])
    return cell(name, connections, rounds * connections, before, after)


def cell(name, connections, requests, before, after):
    """What lies between two looks, divided by the commands."""
    found = between(before["info"], after["info"])
    commands = requests + 1  # the first INFO is counted once it is answered
    if found["commands"] != commands:
        raise Failed(
            f"its INFO tells of {found['commands']} commands, not {commands}"
        )
    ideal = Ideal.parse(after["info"])
    per_request = {
        kind: {n: v / commands for n, v in found[kind].items() if v}
        for kind in ("calls", "model")
    }
    switches = observe.switches_between(before["switches"], after["switches"])
    return {
        "server": name,
        "connections": connections,
        "all_it_serves": served.connections_at_once(name) == connections,
        "requests": requests,
        "calls": per_request["calls"],
        "ideal": ideal.calls,
        "at_least": sorted(ideal.least),
        "switches": switches
        and {kind: number / commands for kind, number in switches.items()},
        **batch(name, ideal, per_request["calls"]),
        "threads": after["threads"],
        "processes": after["processes"],
        "model": per_request["model"],
    }


def batch(name, ideal, calls):
    """How many requests one call of the kind brings in which the model waits;
    of one that never waits there is no such number."""
    waits = served.traits(name).get("sleeps") != "no"
    call = next(iter(ideal.calls), None) if waits else None
    made = calls.get(call)
    return {"wait": call, "requests_per_wait": 1 / made if made else None}


def misses(found):
    """In words, of a cell with one connection: with more there is no ideal."""
    if found["connections"] != 1:
        return []
    return Ideal(found["ideal"], frozenset(found["at_least"])).misses(
        found["calls"]
    )


# ---- In a terminal -----------------------------------------------------------


def decimal(value):
    return "-" if value is None else f"{value:.2f}"


def named(counts, form="{:.2f}"):
    """"recv 1.00", the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return [f"{n} {form.format(v)}" for n, v in ranked if v >= 0.005]


def ideal_text(found):
    """"3", or "≥ 2"; "-" for one that says nothing."""
    ideal = Ideal(found["ideal"], frozenset(found["at_least"]))
    if not ideal.calls:
        return "-"
    return f"{'≥ ' if ideal.least else ''}{ideal.total:g}"


HEADINGS = ("peers", "calls", "ideal", "switches", "taken", "per wait",
            "threads")  # fmt: skip


def line(first, columns):
    widths = (7, 8, 6, 9, 7, 9, 9)
    cells = (f"{text:>{width}}" for text, width in zip(columns, widths))
    return f"{pathlib.Path(first).name[:24]:<24}{''.join(cells)}"


def lines(found):
    """A row, and below it the calls by name and the model's own counters."""
    switches = found["switches"] or {}
    mark = "*" if found["all_it_serves"] else ""
    threads = str(found["threads"])
    if found["processes"] > 1:
        threads += f" in {found['processes']}"
    yield line(
        found["server"],
        (
            f"{found['connections']}{mark}",
            decimal(sum(found["calls"].values())),
            ideal_text(found),
            decimal(switches.get("voluntary")),
            decimal(switches.get("involuntary")),
            decimal(found["requests_per_wait"]),
            threads,
        ),
    )
    for title, counts in (("", found["calls"]), ("model: ", found["model"])):
        if words := named(counts):
            yield from textwrap.wrap(
                title + ", ".join(words),
                WIDTH,
                initial_indent="    ",
                subsequent_indent="    ",
            )


LEGEND = """\
calls, switches: per request (a switch is voluntary if it slept, taken if the
CPU was taken from it); per wait: requests for each call in which the model
waits; threads: of all its processes; *: as many peers as it serves at once"""


# ---- In the READMEs ----------------------------------------------------------


def column(cells, value):
    return " / ".join(map(value, cells))


def own_text(cells):
    """The model's own counters, those at zero left out."""
    names = dict.fromkeys(n for found in cells for n in found["model"])
    texts = [
        f"{name} " + column(cells, lambda f: decimal(f["model"].get(name, 0)))
        for name in names
        if any(f["model"].get(name, 0) >= 0.005 for f in cells)
    ]
    return ", ".join(texts) or "–"


def threads_text(found):
    some = f" in {found['processes']}" if found["processes"] > 1 else ""
    return f"{found['threads']}{some}"


def row(cells):
    """A variant's, of all its cells."""
    first, _, variant = cells[0]["server"].partition("-")
    switches = [f["switches"] or {} for f in cells]
    parts = (
        f"`{variant or first}`",
        ", ".join(named(cells[0]["calls"])),
        ideal_text(cells[0]),
        column(cells, lambda f: str(f["connections"])),
        column(cells, lambda f: decimal(sum(f["calls"].values()))),
        column(switches, lambda s: decimal(s.get("voluntary"))),
        column(switches, lambda s: decimal(s.get("involuntary"))),
        column(cells, lambda f: decimal(f["requests_per_wait"])),
        column(cells, threads_text),
        own_text(cells),
    )
    return f"| {' | '.join(parts)} |"


EXPLAINED = "bench/README.md#counting-make-counts"
HEAD = (
    f"| [`make counts`](../{EXPLAINED}) | one peer's request | ideal | peers "
    "| calls | switches | taken | requests per wait | threads "
    "| own counters |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def of_each(cells):
    """The cells of one server after those of the other."""
    for server in dict.fromkeys(found["server"] for found in cells):
        yield [found for found in cells if found["server"] == server]


def table(cells):
    """Of one model's variants."""
    return "\n".join([*HEAD, *map(row, of_each(cells))])


def short_table(cells):
    """Of all variants, with one peer and with the most."""
    most = max(found["connections"] for found in cells)
    lines = [
        f"| [`make counts`]({EXPLAINED}) | calls, 1 peer | ideal "
        f"| calls, {most} peers | switches | requests per wait | threads |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    return "\n".join(lines + [short_row(own, most) for own in of_each(cells)])


def short_row(cells, most):
    """With fewer peers than the others it says with how many."""
    first, last = cells[0], cells[-1]
    peers = last["connections"]
    parts = (
        f"`{first['server']}`",
        decimal(sum(first["calls"].values())),
        ideal_text(first),
        decimal(sum(last["calls"].values()))
        + ("" if peers == most else f" ({peers})"),
        decimal((last["switches"] or {}).get("voluntary")),
        decimal(last["requests_per_wait"]),
        threads_text(last),
    )
    return f"| {' | '.join(parts)} |"


def folder_of(server):
    return server.partition("-")[0]


def require_markers(servers, root=contestants.ROOT):
    """Before anything is measured. Raises ValueError, OSError."""
    for folder in dict.fromkeys(["", *map(folder_of, servers)]):
        readme.between(root / folder / README, BEGIN, END, "")


def documents(cells, root):
    """{path: what stands between its markers}: of each model's README its
    variants, of the first README all of them."""
    texts = {root / README: short_table(cells)}
    for folder in dict.fromkeys(folder_of(found["server"]) for found in cells):
        own = [found for found in cells if folder_of(found["server"]) == folder]
        texts[root / folder / README] = table(own)
    return texts


def write(cells, skipped, head, root=contestants.ROOT):
    """All documents, or none: each is made before the first is written. Raises
    ValueError where one has no markers, OSError."""
    texts = {
        path: readme.between(path, BEGIN, END, text)
        for path, text in documents(cells, root).items()
    }
    results = [head, *cells, *skipped]
    texts[root / RESULTS.relative_to(contestants.ROOT)] = "".join(
        json.dumps(one) + "\n" for one in results
    )
    for path, text in texts.items():
        atomic.write(path, text)
    return list(texts)


# ---- All of it ---------------------------------------------------------------


class Counted:
    """All cells so far; who could not run, and what went wrong, in words."""

    def __init__(self):
        self.cells, self.skipped, self.failures = [], [], []

    def add(self, name, options, cpu):
        """All cells of one server, shown as they come."""
        connections = None
        try:
            for connections in sizes_for(name):
                found = count(name, connections, options.requests, cpu)
                self.cells.append(found)
                print("\n".join(lines(found)), flush=True)
                for wrong in misses(found):
                    self._fail(name, connections, f"MISSES its ideal: {wrong}")
        except Skipped as reason:
            print(f"SKIP {name}: {reason}")
            self.skipped.append({"server": name, "skipped": str(reason)})
        except (Failed, OSError) as error:
            self._fail(name, connections, error)

    def _fail(self, name, connections, why):
        noun = "connection" if connections == 1 else "connections"
        where = f" with {connections} {noun}" if connections else ""
        self.failures.append(f"FAILED {name}{where}: {why}")
        print(self.failures[-1], flush=True)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="bench/counts",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "--servers",
        help="names or paths, separated by commas (default: SERVERS);\n"
        "of some alone nothing is written",
    )
    parser.add_argument(
        "--requests", type=int, default=REQUESTS,
        help=f"of each cell (default: {REQUESTS})",
    )  # fmt: skip
    parser.add_argument(
        "--check", action="store_true",
        help="print and hold to the ideal, and write nothing (else:\n"
        "docs/results/counts.jsonl, and the rows in the READMEs)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.requests < 1:
        parser.error("--requests must be above 0")
    options.writes = not options.check and options.servers is None
    names = [s for s in (options.servers or "").split(",") if s]
    options.servers = names or contestants.server_names()
    contestants.refuse_missing(parser, options.servers)
    return options


def run(options):
    """The exit code."""
    if options.writes:
        require_markers(options.servers)
    where = measure.placement(pinned=True)
    head = {
        **where.describe(),
        "commit": observe.commit(),
        "began": time.strftime(TIME),
        "placement": str(where),
        "requests": options.requests,
    }
    print(line("per request", HEADINGS), flush=True)
    counted = Counted()
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, where.load_cpus or os.sched_getaffinity(0))
    for name in options.servers:
        counted.add(name, options, where.server_cpu)
    print(LEGEND)
    if counted.failures:
        print(*["", *counted.failures, "nothing was written"], sep="\n")
        return 1
    if options.writes:
        for path in write(counted.cells, counted.skipped, head):
            print(f"written: {path.relative_to(contestants.ROOT)}")
    return 0


def main(arguments):
    options = parse_arguments(arguments)
    try:
        with children.supervised():
            return run(options)
    except (ValueError, OSError) as error:
        print(f"bench/counts: {error}", file=sys.stderr)
        return 1
    except children.Interrupted as interrupted:
        return 128 + interrupted.number
