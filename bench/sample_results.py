"""Made-up results of bench/compare, for what shows them: tests, and the
benchmark of opening a report. Their numbers are drawn at random, with models
that differ as such models might; no line of it was measured."""

import json
import random

import journal
import scenarios
from plan import Plan

SEVEN = (
    "epoll-level", "blocking-thread", "nonblocking-spin", "select-level",
    "poll-level", "aio-signal", "iouring-multishot",
)  # fmt: skip
TWENTY_TWO = SEVEN + (
    "epoll-edge", "epoll-oneshot", "epoll-loops", "blocking-fork",
    "blocking-pool", "sigio-queue", "sigio-signal", "aio-thread", "aio-wait",
    "iouring-poll", "iouring-sqpoll", "iouring-loops", "libuv-echo",
    "bare-echo", "redis",
)  # fmt: skip
SWEPT = ("S2", *(f"S2@{rate}" for rate in
                 (10000, 25000, 50000, 70000, 85000, 100000)))  # fmt: skip
IDLE = ("S3-10", "S3-1000", "S3-10000")
EVERYTHING = SWEPT + IDLE
# What a first look measures: all at equal rates, one by one, and at rest.
QUICK = ("S1", "S2@10000", "S2@25000", "S3-1000@10000", "S10")
PERCENTILES = (
    0, 5, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 99, 99.5, 99.9,
    99.95, 99.99, 100,
)  # fmt: skip
PEAK = 95_000.0  # of the middling one
MACHINE = {
    "kernel": "6.1.0-18-amd64", "processor": "An Example CPU @ 3.00GHz",
    "processors": 8, "governor": "performance", "memory_kb": 16_000_000,
    "mitigations": {"spectre_v1": "Mitigation: usercopy"},
    "load_average": [0.1, 0.2, 0.3], "stolen_s": 0.0,
}  # fmt: skip


def plan_of(names=SEVEN, chosen=EVERYTHING, blocks=5):
    return Plan(
        tuple(names), tuple(chosen), blocks, seconds=2.0, seed=1, visits=2
    )


def lines_of(plan, change=lambda cell, fields: fields):
    """A journal's lines; `change` returns what stands in a cell instead, or
    None for one that was not measured."""
    draw = random.Random(plan.seed)
    lines = [describe(plan)]
    for cell in plan.cells():
        fields = change(cell, measured(cell, plan, draw))
        if fields is not None:
            lines.append(identity(cell) | fields)
    return json.loads(json.dumps(lines))


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def describe(plan):
    return {
        "kind": journal.PLAN, "plan": plan.to_json(), "machine": MACHINE,
        "placement": "server on CPU 0, load on 1", "programs": {},
        "commit": "0123abc", "began": "2026-01-02 03:04:05 +0000",
    }  # fmt: skip


def identity(cell):
    return {
        "kind": journal.CELL, "block": cell.block, "visit": cell.visit,
        "scenario": cell.scenario, "contestant": cell.contestant.label,
        "ended": "2026-01-02 03:05:00 +0000", "load_average": 0.5,
    }  # fmt: skip


def measured(cell, plan, draw):
    """What a cell would hold: a rank among the contestants decides how dear a
    request is, and how much of it a system call."""
    scenario = scenarios.find(cell.scenario)
    rank = plan.names.index(cell.contestant.name) / len(plan.names)
    stray = draw.lognormvariate(0, 0.04)
    scans = cell.contestant.name.startswith(("select", "poll"))
    cost = (6 + 8 * rank) * stray + (scenario.idle / 150 if scans else 0)
    peak = PEAK * 9 / cost
    rate = min(scenario.rate or peak, peak)
    latencies = latencies_of(scenario, rate, peak, stray)
    requests = int(rate * plan.seconds)
    return {
        "verdict": "VALID", "reason": "", "errors": 0, "first_error": "",
        "rate": rate, "requests": requests, "served_per_s": rate,
        "latency_us": five(latencies), "load": {
            "requests": requests, "offered": scenario.rate,
            "percentiles_us": latencies, **judged(scenario, latencies),
        },
        "server_cpu_us": cost, "machine_cpu_us": 2.2 * cost, "threads": 2,
        "peak_bytes": 10 << 20, "calls": {}, "model": {},
        "calls_per_request": calls_of(cell.contestant.name, stray),
        "switches_per_s": {"voluntary": rate * rank, "involuntary": 20.0},
        "memory": memory_of(scenario, rank, stray),
        "spent_s": {"at": 2.0, "server": 1.0, "busy": 2.2, "stolen": 0.0},
    }  # fmt: skip


def latencies_of(scenario, rate, peak, stray):
    """Of a queue, more or less: the nearer to the peak the later."""
    busy = 0.85 if scenario.rate is None else min(rate / peak, 0.995)
    middle = (30 + 20 * busy / (1.001 - busy)) * stray
    return [
        [p, round(middle * (0.4 + 0.87 * (1 / (1.0001 - p / 100)) ** 0.32), 3)]
        for p in PERCENTILES
    ]


def judged(scenario, latencies):
    """What the load says of itself."""
    scheduled = scenario.rate is not None
    return {
        "limited_by": "schedule" if scheduled else None,
        "effective_n": 12_000, "gaps_p": 0.4 if scheduled else None,
        "stationarity_p": 0.3, "threads": 1, "cpu_share": 0.6,
        "intervals_us": {name: [0.97 * x, 1.04 * x]
                         for name, x in five(latencies).items()},
    }  # fmt: skip


def alike(plan, dearer):
    """What a cell of servers holds that are all equal, but for those that take
    {name: so many times} as much of everything; for lines_of()."""
    draw = random.Random(plan.seed).lognormvariate
    weather = {}

    def change(cell, fields):
        common = weather.setdefault((cell.block, cell.scenario), draw(0, 0.1))
        times = dearer.get(cell.contestant.name, 1.0)

        def stray():
            return common * times * draw(0, 0.06)

        late, cpu = stray(), stray()
        percentiles = [[p, 40 * late / (1.001 - p / 100) ** 0.4]
                       for p in PERCENTILES]  # fmt: skip
        scheduled = scenarios.find(cell.scenario).rate
        load = fields["load"] | {"percentiles_us": percentiles}
        memory = {"before": {"own": 0, "kernel": 0},
                  "measuring": {"own": 1e6 * stray(), "kernel": 1e7}}
        return fields | {
            "latency_us": five(percentiles), "load": load,
            "rate": scheduled or 2e4 / late, "server_cpu_us": 9 * cpu,
            "calls_per_request": {"recv": stray(), "send": stray()},
            "served_per_s": 1e4, "memory": memory,
            "switches_per_s": {"voluntary": 1e4 * stray(), "involuntary": 0},
            "spent_s": fields["spent_s"] | {"server": 0.01 * stray()},
        }  # fmt: skip

    return change


def five(latencies):
    known = dict(map(tuple, latencies))
    names = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
    return {name: known[p] for name, p in names.items()}


def calls_of(name, stray):
    if name.startswith("iouring"):
        return {"io_uring_enter": 0.4 * stray, "shutdown": 0.0}
    if name.startswith("blocking"):
        return {"recv": 1.0, "send": 1.0}
    wait = name.partition("-")[0] + "_wait"
    return {wait: 0.2 * stray, "recv": 1.0, "send": 1.0}


def memory_of(scenario, rank, stray):
    if not scenario.idle:
        return {"before": None, "measuring": None}
    own = int(scenario.idle * (300 + 9000 * rank) * stray) + 50_000
    kernel = int(scenario.idle * 9000 * stray) + 100_000
    return {
        "before": {"own": 4 << 20, "kernel": 9 << 20},
        "measuring": {"own": (4 << 20) + own, "kernel": (9 << 20) + kernel},
    }
