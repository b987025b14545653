"""What the cells say together: medians, paired ratios, and verdicts.

A contestant's cell is divided by the reference's of the same visit, which was
measured within the same minute or so; the reference has two cells there, its
own and its twin's, and their geometric mean is taken. The twin is compared with
the reference alone.

CONFIDENCE is such that, with seven blocks and cells that stray by 8 % (and
blocks by 15 %), 93 of 100 differences of 10 % are found, while 7 of 100
comparisons of a program with itself find one; test_comparison.py counts. With
one visit to a block, no construction could do that: at 10 false alarms of 100,
and with the spread known beforehand, the best test there is finds 72.
"""

import math

import journal
import paired
import scenarios
from plan import Plan

CONFIDENCE = 0.92

# How the verdicts are worded, by metric: for more of it, and for less.
RATE, TAIL, CPU = scenarios.RATE, scenarios.TAIL, "cpu"
CALLS, SWITCHES, MEMORY = "calls", "switches", "memory"
WORDS = {
    RATE: {paired.MORE: "faster", paired.LESS: "slower"},
    TAIL: {paired.MORE: "later", paired.LESS: "sooner"},
    CPU: {paired.MORE: "dearer", paired.LESS: "cheaper"},
    CALLS: {paired.MORE: "more", paired.LESS: "fewer"},
    SWITCHES: {paired.MORE: "more", paired.LESS: "fewer"},
    MEMORY: {paired.MORE: "larger", paired.LESS: "smaller"},
}
# What the server's side says of the answers it gave holds although the load was
# held up.
OF_THE_SERVER = CPU, CALLS, SWITCHES, MEMORY
FAILED, CONVICTED = "FAILED", "CONVICTED"
NO_PAIRS = "no valid pairs"
# Memory is counted in these: who was given none, or gave some back, needed less
# than one, and has a ratio all the same.
PAGE = 4096
REFERENCE_WORD, TWIN_WORD = "reference", "the noise floor"


def value(line, metric):
    """A cell's value, or None if there is none: 0 is none either, since it has
    no ratio to anything."""
    if "verdict" not in line or line["errors"]:
        return None
    if metric == CPU:
        return line.get("server_cpu_us") or None
    if metric == RATE:
        return line.get("rate") or None
    if metric == CALLS:
        return sum((line.get("calls_per_request") or {}).values()) or None
    if metric == SWITCHES:
        return switches_per_request(line) or None
    if metric == MEMORY:
        found = grown(line, "own")
        return None if found is None else max(found, PAGE)
    return latencies(line).get(metric)


def latencies(line):
    """{"p99": microseconds, ...}: the five that every load prints, and the
    further ones if it wrote them. None is one with too few samples beyond."""
    found = dict(line.get("latency_us") or {})
    for percentile, microseconds in percentiles(line):
        found.setdefault(f"p{percentile:g}", microseconds)
    return found


def percentiles(line):
    return (line.get("load") or {}).get("percentiles_us") or []


def send_lag(line, name):
    """How late the load sent, in us; None if it does not say."""
    lags = (line.get("load") or {}).get("send_lag_us") or {}
    return lags.get(name)


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


def comparable(line, metric):
    """Whether the value may go into a ratio. INVALID says that the load's own
    times are not to be trusted, for it was held up or was itself what limits.
    What the server's clock says of the answers it gave meanwhile holds."""
    return metric in OF_THE_SERVER or line.get("verdict") == "VALID"


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

    def scenarios(self):
        """Those of which anything is there, in the plan's order."""
        there = {scenario for scenario, _ in self._cells}
        return [name for name in self.plan.scenarios if name in there]

    def cells(self, scenario, label):
        return list(self._cells.get((scenario, label), {}).values())

    def values(self, scenario, label, metric):
        """{pair: value} of the cells that may be compared."""
        cells = self._cells.get((scenario, label), {})
        found = {pair: value(line, metric) for pair, line in cells.items()
                 if comparable(line, metric)}  # fmt: skip
        return {pair: x for pair, x in found.items() if x is not None}

    def sample(self, scenario, label, metric):
        """The values of the cells that may be compared, else of all: (they,
        whether all of them were INVALID)."""
        values = list(self.values(scenario, label, metric).values())
        if values:
            return values, False
        found = (value(c, metric) for c in self.cells(scenario, label))
        return [x for x in found if x is not None], True

    def median(self, scenario, label, metric):
        """Of sample(): (it, or None; whether all of them were INVALID)."""
        values, doubtful = self.sample(scenario, label, metric)
        return (paired.median(values) if values else None), doubtful

    def metric(self, scenario):
        """What its contestants are ranked by: where all are offered the same
        rate, by how late the answers come."""
        if self.plan.rate is not None:
            return TAIL
        if self.plan.bound_us is not None:
            return RATE  # the highest that keeps the bound
        return scenarios.find(scenario).metric

    def ratio(self, scenario, label, metric):
        """The Estimate, or None if they were never measured together, and for
        the reference."""
        if label == self.plan.reference.label:
            return None
        other = self._reference(scenario, label, metric)
        return shift(self.values(scenario, label, metric), other)

    def between(self, scenario, one, other, metric):
        """How many times the other's, neither of them the twin: the Estimate,
        or None if they were never measured together."""
        values = [self._best(scenario, label, metric) for label in (one, other)]
        return shift(*values)

    def compared(self, scenario, one, other, metric):
        """between() in paired's words: MORE, LESS, SAME, or why that cannot be
        told. The noise floor is the same as for the reference's ratios."""
        ratio = self.between(scenario, one, other, metric)
        if ratio is None:
            return NO_PAIRS
        twin = self.ratio(scenario, self.plan.twin.label, metric)
        return paired.differ(ratio, paired.noise_floor(twin))

    def _best(self, scenario, label, metric):
        """What is known of a contestant in each visit: the reference was
        measured twice."""
        if label == self.plan.reference.label:
            return self._reference(scenario, label, metric)
        return self.values(scenario, label, metric)

    def _reference(self, scenario, label, metric):
        plan = self.plan
        first = self.values(scenario, plan.reference.label, metric)
        if label == plan.twin.label:
            return first
        second = self.values(scenario, plan.twin.label, metric)
        both = first.keys() & second.keys()
        return {pair: math.sqrt(first[pair] * second[pair]) for pair in both}

    def verdict(self, scenario, label, metric):
        """In words."""
        if label == self.plan.reference.label:
            return REFERENCE_WORD
        ratio = self.ratio(scenario, label, metric)
        if ratio is None:
            return NO_PAIRS
        if label == self.plan.twin.label:
            return paired.TOO_FEW if ratio.low is None else TWIN_WORD
        twin = self.ratio(scenario, self.plan.twin.label, metric)
        found = paired.differ(ratio, paired.noise_floor(twin))
        return WORDS[metric].get(found, found)

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
        the two largest sizes of S3 in the same visit, the median of these; None
        without two sizes."""
        sizes = sorted(
            (scenarios.find(n).idle, n) for n in self.plan.scenarios
            if scenarios.find(n).idle and scenarios.find(n).rate is None
        )  # fmt: skip
        if len(sizes) < 2:
            return None
        (few, small), (many, large) = sizes[-2:]
        at_few = self._grown(small, label, kind)
        at_many = self._grown(large, label, kind)
        slopes = [
            (at_many[pair] - at_few[pair]) / (many - few)
            for pair in at_few.keys() & at_many.keys()
        ]
        return paired.median(slopes) if slopes else None

    def _grown(self, scenario, label, kind):
        cells = self._cells.get((scenario, label), {})
        found = {pair: grown(line, kind) for pair, line in cells.items()}
        return {pair: x for pair, x in found.items() if x is not None}


def shift(mine, other):
    """The Estimate of the ratio of two {pair: value}, or None without pairs."""
    both = sorted(mine.keys() & other.keys())
    if not both:
        return None
    return paired.shift([mine[p] / other[p] for p in both], CONFIDENCE)


def why_left_out(line):
    if "failed" in line:
        return line["failed"]
    if line.get("errors"):
        kind = "wrong answer" if fault(line) == CONVICTED else "error"
        many = "s" if line["errors"] > 1 else ""
        return f"{line['errors']} {kind}{many}: {line['first_error']}"
    return f"{line['verdict']}: {line['reason']}"
