"""What the cells say together: medians, ratios of a block, and verdicts.

A contestant is compared with the reference block by block: both were measured
within the same minutes. The reference has a twin in each block, the same program
once more; the mean of the two is what others are compared with, or the one of
them that is there. The twin itself is compared with the reference alone, and how
far it strays is the noise floor (verdicts.py).

What is compared where: a request's CPU time and its latency depend on how fast a
server is asked, and so have verdicts only where all are asked at the same rate,
on a schedule, or one request at a time on one connection. As fast as many
connections can ask, there is a verdict of the rate alone, and beside a flood of
how late the others are answered. Where the load was what limited, that rate is a
lower bound.
"""

import functools
import math
import typing

import journal
import paired
import scenarios
import verdicts
from plan import Plan
from verdicts import Reading

# How the verdicts are worded, by metric: for more of it, and for less.
RATE, TAIL, CPU = scenarios.RATE, scenarios.TAIL, "cpu"
CALLS, SWITCHES, MEMORY = "calls", "switches", "memory"
REST_CPU, WAKE_UPS = "rest", "wake-ups"
MORE_OR_FEWER = {verdicts.MORE: "more", verdicts.LESS: "fewer"}
WORDS = {
    RATE: {verdicts.MORE: "faster", verdicts.LESS: "slower"},
    TAIL: {verdicts.MORE: "later", verdicts.LESS: "sooner"},
    CPU: {verdicts.MORE: "dearer", verdicts.LESS: "cheaper"},
    CALLS: MORE_OR_FEWER,
    SWITCHES: MORE_OR_FEWER,
    MEMORY: {verdicts.MORE: "larger", verdicts.LESS: "smaller"},
    REST_CPU: {verdicts.MORE: "dearer", verdicts.LESS: "cheaper"},
    WAKE_UPS: MORE_OR_FEWER,
}
# What the server's side says of the answers it gave holds although the load was
# held up.
OF_THE_SERVER = CPU, CALLS, SWITCHES, MEMORY, REST_CPU, WAKE_UPS
FAILED, CONVICTED = "FAILED", "CONVICTED"
NO_PAIRS = "no valid pairs"
NOT_COUNTED = "not counted"
NOT_EQUAL = "not at equal rates"
NOT_KEPT = "did not keep the rate"
# Memory is counted in these: who was given none, or gave some back, needed less
# than one, and has a ratio all the same.
PAGE = 4096
REFERENCE_WORD, TWIN_WORD = "reference", "the noise floor"
# Who limited, in a load's own words.
LOAD, SCHEDULE = "load", "schedule"
KEPT = 0.95  # of what a schedule asked: so much of it is chance in a second


class Sample(typing.NamedTuple):
    """The values of cells. `invalid`: the load's own times are not to be
    trusted in any of them; `bound`: the median is at least what they say."""

    values: list
    invalid: bool = False
    bound: bool = False


class Middle(typing.NamedTuple):
    """A Sample's median, None of nothing."""

    value: float | None
    invalid: bool = False
    bound: bool = False


def value(line, metric):
    """A cell's value, or None where it is not known."""
    if "verdict" not in line or line["errors"]:
        return None
    if metric == CPU and line.get("clients"):
        # On a schedule a load waits awake: what it takes is not for requests.
        return None if offered(line) else of_load(line, "cpu_us_per_request")
    if metric in VALUES:
        return VALUES[metric](line)
    known = line.get("latency_us") or {}
    return known[metric] if metric in known else latencies(line).get(metric)


def is_of_clients(scenario):
    """Whether the contestants are clients, and the server is the same for all:
    what they cost is theirs."""
    return scenario.partition(scenarios.AT)[0] == scenarios.CLIENTS


def calls_per_request(line):
    calls = line.get("calls_per_request")
    known = [x for x in (calls or {}).values() if x is not None]
    return sum(known) if known else None


def latencies(line):
    """{"p99": microseconds, ...}: the five that every load prints, and the
    further ones if it wrote them. None is one with too few samples beyond."""
    found = dict(line.get("latency_us") or {})
    for percentile, microseconds in percentiles(line):
        found.setdefault(f"p{percentile:g}", microseconds)
    return found


def percentiles(line):
    return of_load(line, "percentiles_us") or []


def of_load(line, name):
    """What the load says of itself; None if it does not, as older ones."""
    return (line.get("load") or {}).get(name)


def send_lag(line, name):
    """How late the load sent, in us; None if it does not say."""
    return (of_load(line, "send_lag_us") or {}).get(name)


def switches_per_request(line):
    """Changes of context; None where they were not counted."""
    switches, served = line.get("switches_per_s"), line.get("served_per_s")
    return sum(switches.values()) / served if switches and served else None


def grown(line, kind):
    """By how many bytes the connections made the server larger (own), or the
    kernel; None where that was not looked at."""
    memory = line.get("memory") or {}
    moments = [memory.get(m) or {} for m in ("before", "measuring")]
    before, measuring = (moment.get(kind) for moment in moments)
    if before is None or measuring is None:
        return None
    return measuring - before


def pages(line):
    found = grown(line, "own")
    return None if found is None else max(found, PAGE)


def cpu_at_rest(line):
    """In us a second."""
    spent = line.get("spent_s")
    return spent["server"] * 1e6 / spent["at"] if spent else None


def wake_ups(line):
    return (line.get("switches_per_s") or {}).get("voluntary")


VALUES = {
    RATE: lambda line: line.get("rate"),
    CPU: lambda line: line.get("server_cpu_us"),
    CALLS: calls_per_request,
    SWITCHES: switches_per_request,
    MEMORY: pages,
    REST_CPU: cpu_at_rest,
    WAKE_UPS: wake_ups,
}


def offered(line):
    """Requests per second of the schedule; None of a closed loop."""
    scheduled = scenarios.find(line["scenario"]).rate
    return of_load(line, "offered") or scheduled


def kept(line):
    """Whether what a schedule asked was answered, more or less."""
    asked = offered(line)
    return not asked or (line.get("rate") or 0) >= KEPT * asked


def limited_by(line):
    """LOAD or SCHEDULE where the rate is a lower bound of the server's, or None.
    Older loads say so by their verdict alone."""
    if "limited_by" in (line.get("load") or {}):
        return line["load"]["limited_by"]
    if offered(line):
        return SCHEDULE if kept(line) else None
    held_up = line.get("reason", "").startswith("the generator")
    return LOAD if line.get("verdict") == "INVALID" and held_up else None


def is_bound(line):
    """Whether who is compared was not what limited."""
    limit = limited_by(line)
    if is_of_clients(line["scenario"]):
        return limit != LOAD
    return limit is not None


def reading(line, metric):
    """What of a cell may go into a ratio, or None. INVALID says that the load's
    own times are not to be trusted, for it was held up or was itself what
    limits: then its rate is a bound, and its latencies are nothing. What the
    server's clock says of the answers it gave meanwhile holds, if it answered
    as fast as all others."""
    found = value(line, metric)
    if found is None:
        return None
    if metric == RATE and is_bound(line):
        return Reading(found, True)
    if metric == RATE and is_of_clients(line["scenario"]):
        return Reading(found)
    if metric in OF_THE_SERVER:
        return Reading(found) if kept(line) else None
    return Reading(found) if line["verdict"] == "VALID" else None


def fault(line):
    """CONVICTED for a wrong answer, FAILED for what else went wrong, or None."""
    if "failed" in line:
        return FAILED
    if not line.get("errors"):
        return None
    # Of a load that does not tell them apart, all are answers.
    wrong = (line.get("load") or {}).get("wrong", line["errors"])
    return CONVICTED if wrong else FAILED


class Results:
    """A journal's lines, by scenario and contestant."""

    def __init__(self, lines):
        self.plan = Plan.from_json(lines[0]["plan"])
        self.description = lines[0]
        self._cells = {}
        for line in journal.cells(lines):
            where = line["scenario"], line["contestant"]
            pair = line["block"], line["visit"]
            self._cells.setdefault(where, {})[pair] = line
        # Each is asked for again and again while a page is written.
        self.readings = functools.cache(self._readings)
        self.sample = functools.cache(self._sample)
        self._judged = functools.cache(self._judge)
        self._judged_pairs = functools.cache(self._judge_pairs)
        self.floor = functools.cache(self._floor)

    def scenarios(self):
        """Those of which anything is there, in the plan's order."""
        there = {scenario for scenario, _ in self._cells}
        return [name for name in self.plan.scenarios if name in there]

    def cells(self, scenario, label):
        return list(self._cells.get((scenario, label), {}).values())

    def tests_of_the_load(self, scenario, suffix):
        """The cells there whose label ends so: NULL_SUFFIX, DOUBLED_SUFFIX."""
        return [
            line for (there, label), cells in self._cells.items()
            for line in cells.values()
            if there == scenario and label.endswith(suffix)
        ]  # fmt: skip

    # ---- Numbers ----

    def _readings(self, scenario, label, metric):
        """{pair: Reading} of the cells that may be compared."""
        cells = self._cells.get((scenario, label), {})
        found = {pair: reading(line, metric) for pair, line in cells.items()}
        there = {pair: x for pair, x in found.items() if x is not None}
        if self.plan.bound_us is None or metric != RATE:
            return there
        # The highest rate that keeps the bound, on a schedule that was kept.
        return {pair: Reading(x.value) for pair, x in there.items()}

    def values(self, scenario, label, metric):
        """{pair: value} of these."""
        found = self.readings(scenario, label, metric)
        return {pair: one.value for pair, one in found.items()}

    def _sample(self, scenario, label, metric):
        """Of the cells that may be compared, else of all."""
        readings = list(self.readings(scenario, label, metric).values())
        if readings:
            values = sorted(one.value for one in readings)
            # A bound above what the median is made of, the upper one of two in
            # the middle, may be as far above as it likes.
            highest = values[len(values) // 2]
            low = [x for x in readings if x.bound and x.value <= highest]
            return Sample(values, bound=bool(low))
        found = (value(c, metric) for c in self.cells(scenario, label))
        return Sample([x for x in found if x is not None], invalid=True)

    def median(self, scenario, label, metric):
        """Of sample()."""
        values, invalid, bound = self.sample(scenario, label, metric)
        return Middle(paired.median(values) if values else None, invalid, bound)

    def is_at_equal_rates(self, scenario):
        """Whether all are asked so, whatever they answer."""
        if self.plan.bound_us is not None:
            return False
        found = scenarios.find(scenario)
        one_by_one = found.connections == 1 and found.depth in (None, 1)
        return bool(self.plan.rate or found.rate or one_by_one)

    def per_cpu_second(self, scenario, label):
        """Capacity, a Middle: requests per second of a CPU, from what one of
        them costs where all are asked at the same rate; of None elsewhere."""
        if not self.is_at_equal_rates(scenario):
            return Middle(None)
        cost = self.median(scenario, label, CPU)
        return cost._replace(value=1e6 / cost.value if cost.value else None)

    def metric(self, scenario):
        """What its contestants are ranked by: where all are offered the same
        rate, by how late the answers come."""
        if self.plan.rate is not None:
            return TAIL
        if self.plan.bound_us is not None:
            return RATE  # the highest that keeps the bound
        return scenarios.find(scenario).metric

    # ---- Verdicts ----

    def tables(self, scenario):
        """The metrics that have verdicts there, by the table they stand in: the
        verdicts of a table are corrected for how many they are."""
        if scenarios.find(scenario).metric == scenarios.REST:
            return [(REST_CPU, WAKE_UPS)]
        main = self.metric(scenario)
        if not self.is_at_equal_rates(scenario):
            return [(main,), (MEMORY,)]
        first = (RATE, TAIL, CPU) if main == RATE else (main, CPU)
        return [first, (CALLS, SWITCHES), (MEMORY,)]

    def table_of(self, scenario, metric):
        """The metrics of its table; () where it has no verdicts."""
        tables = self.tables(scenario)
        return next((one for one in tables if metric in one), ())

    def blocks(self, scenario, labels, metric):
        """{block: Reading} of what these labels show together."""
        found = {}
        for label in labels:
            there = self.readings(scenario, label, metric)
            for (block, _), one in there.items():
                found.setdefault(block, []).append(one)
        return {block: verdicts.mean_of(all_) for block, all_ in found.items()}

    def _own(self, label):
        """The labels under which a contestant was measured."""
        plan = self.plan
        both = (plan.reference.label, plan.twin.label)
        return both if label == plan.reference.label else (label,)

    def _compare(self, scenario, one, other, metric):
        mine, theirs = (self.blocks(scenario, labels, metric)
                        for labels in (one, other))  # fmt: skip
        return verdicts.compare(mine, theirs)

    def _floor(self, metric):
        """How far the twin strays from the reference, in all scenarios that have
        a verdict of that metric; None where that is not known."""
        plan = self.plan
        found = [
            self._strays(scenario, plan.twin.label, metric)
            for scenario in self.scenarios()
            if self.table_of(scenario, metric)
        ]
        return verdicts.floor_of(found)

    def _strays(self, scenario, label, metric):
        """Logarithms of its ratios to the reference, those that are exact."""
        mine, other = (
            self.blocks(scenario, (name,), metric)
            for name in (label, self.plan.reference.label)
        )
        exact = [
            (mine[block], other[block]) for block in mine.keys() & other.keys()
            if not mine[block].bound and not other[block].bound
        ]  # fmt: skip
        return [math.log(x.value / y.value) for x, y in exact
                if x.value > 0 and y.value > 0]  # fmt: skip

    def raw_ratios(self, scenario, metrics):
        """{(label, metric): Ratio to the reference} of a table, before it is
        known how many there are."""
        plan = self.plan
        reference = self._own(plan.reference.label)
        found = {
            (label, metric): self._compare(
                scenario, (label,), reference, metric
            )
            for label in self.others for metric in metrics
        }  # fmt: skip
        return {key: x for key, x in found.items() if x is not None}

    @property
    def others(self):
        """Labels without the reference's two."""
        return [c.label for c in self.plan.contestants
                if c.name != self.plan.reference.name]  # fmt: skip

    def _judge(self, scenario, metrics):
        ratios = self.raw_ratios(scenario, metrics)
        floors = {key: self.floor(key[1]) for key in ratios}
        return verdicts.judge(ratios, floors)

    def _judge_pairs(self, scenario, metric):
        """Of any two of the others: a family of its own."""
        ratios = {
            (one, other): self._compare(scenario, (one,), (other,), metric)
            for place, one in enumerate(self.others)
            for other in self.others[place + 1 :]
        }
        known = {key: x for key, x in ratios.items() if x is not None}
        return verdicts.judge(known, dict.fromkeys(known, self.floor(metric)))

    def judged(self, scenario, label, metric):
        """The Verdict against the reference, or None."""
        metrics = self.table_of(scenario, metric)
        return self._judged(scenario, metrics).get((label, metric))

    def ratio(self, scenario, label, metric):
        """Its Ratio, or None if they were never measured together, and for the
        reference."""
        if not self.table_of(scenario, metric):
            return None
        if label == self.plan.twin.label:
            twin = self._compare(
                scenario, (label,), (self.plan.reference.label,), metric
            )
            return twin and verdicts.with_interval(twin, verdicts.ALPHA)
        found = self.judged(scenario, label, metric)
        return found and found.ratio

    def _between(self, scenario, one, other, metric):
        """(the Verdict of two contestants or None, whether it is of the other
        one to this one)"""
        reference = self.plan.reference.label
        if other == reference:
            return self.judged(scenario, one, metric), False
        if one == reference:
            return self.judged(scenario, other, metric), True
        if not self.table_of(scenario, metric):
            return None, False
        found = self._judged_pairs(scenario, metric)
        if (one, other) in found:
            return found[one, other], False
        return found.get((other, one)), True

    def between(self, scenario, one, other, metric):
        """How many times the other's, neither of them the twin: the Ratio, or
        None if they were never measured together."""
        found, inverse = self._between(scenario, one, other, metric)
        return found and (found.ratio.inverse() if inverse else found.ratio)

    def compared(self, scenario, one, other, metric):
        """between() in verdicts' words: MORE, LESS, SAME, or why that cannot be
        told."""
        found, inverse = self._between(scenario, one, other, metric)
        if found is None:
            return NO_PAIRS
        return INVERSE.get(found.word, found.word) if inverse else found.word

    def verdict(self, scenario, label, metric):
        """In words."""
        if label == self.plan.reference.label:
            return REFERENCE_WORD
        if not self.table_of(scenario, metric):
            return NOT_EQUAL
        if label == self.plan.twin.label:
            twin = self.ratio(scenario, label, metric)
            few = twin is None or twin.word == verdicts.TOO_FEW
            return verdicts.TOO_FEW if few else TWIN_WORD
        found = self.judged(scenario, label, metric)
        if found is None:
            return self.why_no_pairs(scenario, label, metric)
        return WORDS[metric].get(found.word, found.word)

    def why_no_pairs(self, scenario, label, metric):
        """Of what was measured but may not be compared."""
        cells = self.cells(scenario, label)
        if not any(value(c, metric) is not None for c in cells):
            return NOT_COUNTED
        if metric in OF_THE_SERVER and not all(map(kept, cells)):
            return NOT_KEPT
        return NO_PAIRS

    def smallest_difference(self, scenario, metric):
        """The factor that such a table would find nine times of ten, or None."""
        metrics = self.table_of(scenario, metric)
        judged = self._judged(scenario, metrics)
        mine = [x.ratio for (_, m), x in judged.items() if m == metric]
        count = self.verdict_count(scenario, metric)
        return verdicts.smallest_difference(mine, count, self.floor(metric))

    def verdict_count(self, scenario, metric):
        """How many there are in its table."""
        metrics = self.table_of(scenario, metric)
        judged = self._judged(scenario, metrics).values()
        return sum(found.ratio.word is None for found in judged)

    # ---- What is not there ----

    def left_out(self, scenario, label):
        """Of the cells whose rates and latencies are not in the ratios: (how
        many, of how many, why the first, in words), or None."""
        cells = self.cells(scenario, label)
        without = [line for line in cells if line.get("verdict") != "VALID"
                   or line["errors"]]  # fmt: skip
        if not without:
            return None
        return len(without), len(cells), why_left_out(without[0])

    def skipped(self, scenario, label):
        """Why a contestant is not there, or None."""
        reasons = [c["skipped"] for c in self.cells(scenario, label)
                   if "skipped" in c]  # fmt: skip
        return reasons[0] if reasons else None

    def faults(self):
        """{(scenario, label): (fault, why)} for who answered wrongly or failed.
        There is one of a contestant in a scenario, which is its last cell."""
        return {
            where: (fault(line), why_left_out(line))
            for where, cells in self._cells.items()
            for line in cells.values()
            if fault(line)
        }

    def missing(self):
        """How many cells are still to be measured. Who failed or is not there
        is not tried again in that scenario."""
        dropped = {
            where for where, cells in self._cells.items()
            if any("skipped" in c or fault(c) for c in cells.values())
        }  # fmt: skip
        return sum(
            cell.pair not in self._cells.get(cell.key[2:], {})
            for cell in self.plan.cells() if cell.key[2:] not in dropped
        )  # fmt: skip

    def absent(self):
        """(scenario, label, "3 of 10", why) of all that is left out."""
        for scenario in self.scenarios():
            for contestant in self.plan.contestants:
                label = contestant.label
                if reason := self.skipped(scenario, label):
                    yield scenario, label, "skipped", reason
                elif found := self.left_out(scenario, label):
                    count, of_all, why = found
                    yield scenario, label, f"{count} of {of_all}", why

    def bytes_per_idle(self, label, kind):
        """Memory of an idle connection, `kind` own or kernel: the slope between
        the two largest sizes of S3 in the same block, the median of these; None
        without two sizes."""
        sizes = self.idle_sizes()
        if len(sizes) < 2:
            return None
        (few, small), (many, large) = list(sizes.items())[-2:]
        at_few = self._grown(small, label, kind)
        at_many = self._grown(large, label, kind)
        if not at_few or not at_many:
            return None
        # Where one of them was measured once, that has to do for all.
        usual = paired.median(at_few.values())
        slopes = [(grown_by - at_few.get(pair, usual)) / (many - few)
                  for pair, grown_by in at_many.items()]  # fmt: skip
        return paired.median(slopes)

    def idle_sizes(self):
        """{idle connections: scenario}, the least first, at the rate at which
        there are most of them."""
        by_rate = {}
        for name in self.scenarios():
            found = scenarios.find(name)
            if found.idle:
                by_rate.setdefault(found.rate, {})[found.idle] = name
        most = max(by_rate.values(), key=len, default={})
        return dict(sorted(most.items()))

    def _grown(self, scenario, label, kind):
        cells = self._cells.get((scenario, label), {})
        found = {pair: grown(line, kind) for pair, line in cells.items()}
        return {pair: x for pair, x in found.items() if x is not None}


# What `one` is to `other`, from what `other` is to `one`.
INVERSE = {
    verdicts.MORE: verdicts.LESS,
    verdicts.LESS: verdicts.MORE,
    verdicts.NONE_OF_IT: verdicts.SOME_OF_IT,
    verdicts.SOME_OF_IT: verdicts.NONE_OF_IT,
}


def why_left_out(line):
    if "failed" in line:
        return line["failed"]
    if line.get("errors"):
        kind = "wrong answer" if fault(line) == CONVICTED else "error"
        many = "s" if line["errors"] > 1 else ""
        return f"{line['errors']} {kind}{many}: {line['first_error']}"
    return f"{line['verdict']}: {line['reason']}"
