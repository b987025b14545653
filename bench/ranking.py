"""Who won a race, in words, or that nobody did.

Two contestants are compared by results.py, from turns of the same visit. A
place is one more than how many were measurably faster, so that contestants
between whom no difference can be measured may share one.
"""

import dataclasses
import math
import textwrap

import lanes
import verdicts
from lanes import short
from results import CPU, NO_PAIRS, RATE
from table import all_calls, doubtful, number, ratio_text

DECIDED = (*verdicts.ALIKE, verdicts.MORE, verdicts.LESS)
CANNOT_TELL = "too few valid turns to tell"
UNTOLD = {NO_PAIRS: CANNOT_TELL, verdicts.TOO_FEW: CANNOT_TELL}
# How it is worded, by metric, that one has more of it, and of what.
FASTER = {RATE: "is faster than", CPU: "takes more CPU than"}
OF = {RATE: "", CPU: ", CPU"}
BAR_MAX = 30
COSTS = 1 + lanes.CPU + 1 + lanes.CALLS


@dataclasses.dataclass(frozen=True)
class Standing:
    """`place` is None where it could be compared with nobody. `rate` is a
    results.Middle."""

    label: str
    place: int | None
    rate: object
    cpu: float | None
    calls: float | None


def order(standing):
    """For sorting: those without a place come last."""
    place = standing.place
    rate = standing.rate
    return place is None, place or 0, rate.invalid, -(rate.value or 0)


class Ranking:
    def __init__(self, results):
        self._results = results
        self._scenario = results.plan.scenarios[0]
        self._twin = results.ratio(
            self._scenario, results.plan.twin.label, RATE
        )
        labels = [label for label in results.plan.names if self._ran(label)]
        found = [self._standing(label, labels) for label in labels]
        self.standings = sorted(found, key=order)

    def _ran(self, label):
        cells = self._results.cells(self._scenario, label)
        return any("verdict" in line for line in cells)

    def _standing(self, label, labels):
        results, scenario = self._results, self._scenario
        against = [results.compared(scenario, label, other, RATE)
                   for other in labels if other != label]  # fmt: skip
        decided = any(verdict in DECIDED for verdict in against)
        return Standing(
            label=label,
            place=1 + against.count(verdicts.LESS) if decided else None,
            rate=results.median(scenario, label, RATE),
            cpu=results.median(scenario, label, CPU).value,
            calls=calls_of(results.cells(scenario, label)),
        )

    def sentences(self):
        """How each compares with the one before it; by CPU time, too, where
        there is somebody whom the rates tell nothing of."""
        said = self._one_by_one(self.standings, RATE)
        equal = self._results.is_at_equal_rates(self._scenario)
        if equal and any(one.place is None for one in self.standings):
            by_cpu = sorted(self.standings, key=lambda one: -(one.cpu or 0))
            said += self._one_by_one(by_cpu, CPU)
        return said

    def _one_by_one(self, standings, metric):
        labels = [one.label for one in standings]
        pairs = zip(labels, labels[1:])
        said = [self.sentence(*pair, metric) for pair in pairs]
        few = [text for text in said if text.endswith(CANNOT_TELL)]
        if len(few) < 2:
            return said
        told = [text for text in said if text not in few]
        return told + [f"{len(few)} pairs{OF[metric]}: {CANNOT_TELL}"]

    def sentence(self, one, other, metric=RATE):
        pair = self._scenario, one, other, metric
        ratio = self._results.between(*pair)
        verdict = self._results.compared(*pair)
        one, other = short(one), short(other)
        if verdict == verdicts.LESS:
            verdict, one, other = verdicts.MORE, other, one
            ratio = ratio.inverse()
        if verdict == verdicts.MORE:
            return f"{one} {FASTER[metric]} {other}: {ratio_text(ratio)} times"
        told = UNTOLD.get(verdict, verdict)
        if verdict in verdicts.ALIKE:
            told = f"{verdict}, {ratio_text(ratio)}"
        return f"{one} and {other}{OF[metric]}: {told}"

    def noise(self):
        """What the reference's second lane showed."""
        name = short(self._results.plan.reference.label)
        floor = self._results.floor(RATE)
        if floor is None:
            return f"{name} against itself: {CANNOT_TELL}"
        least = math.exp(floor.log)
        return (
            f"{name} against itself: {ratio_text(self._twin)}; nothing "
            f"below a factor of {least:.3f} is ranked"
        )

    def _how_they_count(self, label):
        """Turns that are not VALID."""
        rates = self._results.readings(self._scenario, label, RATE).values()
        bound = any(one.bound for one in rates)
        return "count as lower bounds at most" if bound else "do not count"

    def apart(self):
        """INVALID turns with the first one's reason, and who took no part."""
        any_invalid = False
        for _, label, count, why in self._results.absent():
            any_invalid |= why.startswith("INVALID")
            if count == "skipped":
                yield f"{short(label)} is skipped: {why}"
            else:
                told = self._how_they_count(label)
                yield f"{short(label)}: {count} turns {told}, {why}"
        if any_invalid:
            yield "What a request costs, CPU and calls, holds all the same."


def calls_of(cells):
    """All of a request's system calls; None if they are not known."""
    return all_calls(cells)


def render(ranking, columns, style):
    """The table and what it means, a list of lines."""
    width = max(columns - 1, 20)
    lines = table_rows(ranking.standings, width, style)
    said = [*ranking.sentences(), ranking.noise(), *ranking.apart()]
    for sentence in said:
        lines += textwrap.wrap(sentence, width, subsequent_indent="  ")
    return lines


def table_rows(standings, width, style):
    """At most as wide as that: where it is narrow the bars go, then the
    costs."""
    name = max((len(short(one.label)) for one in standings), default=0)
    fixed = len("99. ") + name + 1 + lanes.RATE
    costs = COSTS if width >= fixed + COSTS else 0
    bar = min(width - fixed - costs - 1, BAR_MAX)
    bar = bar if bar >= lanes.BAR_MIN else 0
    most = max((one.rate.value or 0 for one in standings), default=0)
    heading = f"{'':<{fixed - lanes.RATE + bar + bool(bar)}}"
    rows = [columns_of(heading, "per s", "CPU us", "calls", costs)]
    for one in standings:
        place = f"{one.place:>2}." if one.place else "  -"
        text = f"{place} {short(one.label):<{name}} "
        if bar:
            share = (one.rate.value or 0) / most if most else 0
            text += lanes.bar(share, bar, style) + " "
        rate = doubtful(one.rate).replace(" ", "")
        rows.append(columns_of(text, rate, number(one.cpu), number(one.calls),
                               costs))  # fmt: skip
    return [lanes.clip(row, width) for row in rows]


def columns_of(text, rate, cpu, calls, costs):
    text += f"{rate:>{lanes.RATE}}"
    return text + f" {cpu:>{lanes.CPU}} {calls:>{lanes.CALLS}}" * bool(costs)
