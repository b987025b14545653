"""At which rates the servers are asked: what all of them keep, and what shows
where requests begin to queue.

Each rate is a scenario of its own, S2@20000 beside S2, so that all contestants
are asked at the same rates, in the same shuffled blocks, and a run that was
broken off is gone on with as any other.

CPU time and latency compare only at a rate that everybody keeps. So each
contestant first answers a closed loop for a moment, and the rates are at most
half of what the slowest kept. A sweep goes on to the highest rate that the load
itself keeps by a schedule. In a closed loop it reaches more, since it sends
whenever an answer gives it the time; above its own it would sweep itself.
"""

import dataclasses
import math

import scenarios
from contestants import Failed
from plan import Cell, Contestant

FRACTIONS = (0.1, 0.25, 0.5, 0.75, 1.0)  # of the ceiling
# Of what the reference answers in a closed loop: what the load is tried at, and
# how often it has to keep it.
DOWNWARDS = (1.2, 1.0, 0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.1)
KEEPS = 2
DIGITS = 2  # of a rate: nobody compares 9 735 with 10 211
RATE_MIN = 1_500  # with 1 000 answers in a second there is a p99
APART = 1.25  # rates that are nearer show the same
PROBE_SECONDS = 0.3  # of a closed loop that is not measured for itself
# As many rates come of it as of any other ceiling.
ANY_RATE = 1_000_000


@dataclasses.dataclass(frozen=True)
class Pace:
    """Rates that a scenario is to be asked at, if all contestants keep them,
    and others with it."""

    scenario: str
    rates: tuple
    others: tuple = ()

    def names(self, rates):
        """Of all scenarios at these rates."""
        return at([self.scenario, *self.others], rates)


def at(names, rates):
    return [f"{name}{scenarios.AT}{rate}" for name in names for rate in rates]


def able(names):
    """Those that can be asked on a schedule. Raises ValueError if none can."""
    found = tuple(name for name in names if scenarios.find(name).takes_rate)
    if not found:
        raise ValueError(f"{', '.join(names)}: cannot be asked on a schedule")
    return found


def at_rates(names, rates):
    """The names, each with its rates behind it. Raises ValueError."""
    if not rates:
        return names
    able(names)
    return tuple(
        name
        for closed in names
        for name in (closed, *scheduled(closed, rates))
    )


def scheduled(name, rates):
    takes_rate = scenarios.find(name).takes_rate
    return at([name], dict.fromkeys(rates)) if takes_rate else []


# ---- What is kept ------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Probe:
    """A contestant in a closed loop for a moment, tried again where it kept too
    little: a burst of foreign work is none of its doing."""

    cell: Cell
    tries: tuple

    @property
    def rate(self):
        """The most that it answered a second; 0 if it never did rightly."""
        return max(
            0 if tried.get("errors", 1) else tried["rate"]
            for tried in self.tries
        )


def probe(plan, name, enough, measured):
    """A Probe of each contestant, who keeps enough at that rate. Where the
    scenario belongs to the plan, the first try is a cell of its first block;
    else it is shorter. `measured(cell, plan)` is what measures one."""
    if name not in plan.scenarios:
        plan = dataclasses.replace(plan, seconds=PROBE_SECONDS)
    for each in plan.names:
        cell = Cell(0, 0, name, Contestant(each, each))
        found = Probe(cell, (measured(cell, plan),))
        if 0 < found.rate < enough:
            found = Probe(cell, (*found.tries, measured(cell, plan)))
        yield found


def slowest(probes):
    """Who kept the least of those that answer at all, or None."""
    able_ones = [one for one in probes if one.rate]
    return min(able_ones, key=lambda one: one.rate, default=None)


def affordable(wanted, slowest_rate):
    """The rates, or others that are as far from each other, of which the highest
    is half of what the slowest keeps; none is so low that it has no p99."""
    share = min(slowest_rate / 2 / max(wanted), 1)
    least = min(RATE_MIN, *wanted)
    rates = (max(rounded(share * rate), least) for rate in wanted)
    return tuple(dict.fromkeys(rates))


def rounded(rate):
    """Downwards: what is kept is kept then, too."""
    digits = 10.0 ** (math.floor(math.log10(max(rate, 1))) - DIGITS + 1)
    return max(int(rate // digits * digits), 1)


# ---- The sweep ---------------------------------------------------------------


def ceiling(plan, name, peak, measured):
    """The highest of some rates below and above the peak that the load keeps on
    a schedule, whether the reference answers so many or not; None if it keeps
    none."""
    for fraction in DOWNWARDS:
        rate = rounded(fraction * peak)
        cell = Cell(0, 0, *at([name], [rate]), plan.reference)
        tries = (measured(cell, plan) for _ in range(KEEPS))
        if all(fields.get("verdict") == "VALID" for fields in tries):
            return rate
    return None


def below(top, known=()):
    """Rates up to the highest, without those that show the same as one that is
    `known`."""
    rates = dict.fromkeys(rounded(fraction * top) for fraction in FRACTIONS)
    return tuple(
        rate for rate in rates
        if all(max(rate, k) / min(rate, k) > APART for k in known)
    )  # fmt: skip


# ---- The plan ----------------------------------------------------------------


@dataclasses.dataclass
class Found:
    """The plan with its rates, the cells of it that were measured on the way,
    as (cell, fields), and why it is these rates, a sentence each."""

    plan: object
    cells: list
    why: list


def find(plan, paces, swept, measured):
    """Raises Failed where a sweep has no reference to go by."""
    enough = dict.fromkeys(swept, 0)
    enough |= {pace.scenario: 2 * max(pace.rates) for pace in paces}
    probes = {
        name: list(probe(plan, name, rate, measured))
        for name, rate in enough.items()
    }
    chosen, why = [], []
    for pace in paces:
        low = slowest(probes[pace.scenario])
        rates = affordable(pace.rates, low.rate) if low else ()
        why.append(why_these(pace, low, rates))
        chosen.append(pace.names(rates))
    known = {scenarios.find(name).rate for names in chosen for name in names}
    for name in swept:
        first = probes[name][0]  # the reference
        rates, said = swept_rates(plan, name, first, known, measured)
        why.append(said)
        chosen.append(at([name], rates))
    cells = [
        (one.cell, one.tries[0])
        for name in plan.scenarios for one in probes.get(name, [])
    ]  # fmt: skip
    return Found(with_rates(plan, chosen), cells, why)


def why_these(pace, low, rates):
    if low is None:
        return f"{pace.scenario}: nobody answers, and so it has no rates"
    label = low.cell.contestant.label
    said = f"{pace.scenario}: the slowest, {label}, keeps {low.rate:.0f} a "
    said += "second"
    if rates != pace.rates:
        said += f", and half of it is less than {max(pace.rates)}"
    return f"{said}; asked at {' and '.join(map(str, rates))}"


def swept_rates(plan, name, first, known, measured):
    """(The rates, why these); `first` is the reference's Probe."""
    label = plan.reference.label
    if not first.rate:
        why = why_none(first.tries[0])
        raise Failed(f"{label} has no peak in {name}: {why}")
    top = ceiling(plan, name, first.rate, measured)
    said = f"{name}: of {first.rate:.0f} a second that {label} answers, "
    if top is None:
        top = rounded(DOWNWARDS[-1] * first.rate)
        said += f"the load keeps none by a schedule; {top} at most"
    else:
        said += f"the load keeps {top} by a schedule"
    return below(top, known), said


def why_none(fields):
    kinds = "skipped", "failed", "first_error", "reason"
    return next(filter(None, map(fields.get, kinds)), "no answer")


def with_rates(plan, found):
    """The plan with scenarios at their rates behind it."""
    names = [*plan.scenarios, *(name for names in found for name in names)]
    return dataclasses.replace(plan, scenarios=tuple(dict.fromkeys(names)))


def foreseen(plan, paces, swept):
    """A plan of at least as many cells, before the rates are known."""
    found = [pace.names(pace.rates) for pace in paces]
    sweeps = [at([name], below(ANY_RATE)) for name in swept]
    return with_rates(plan, [*found, *sweeps])
