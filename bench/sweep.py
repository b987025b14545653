"""Latency against offered load: the same scenario at several rates.

Each rate is a scenario of its own, S2@20000 beside S2, so that all contestants
are asked at the same rates, in the same shuffled blocks, and a run that was
broken off is gone on with as any other. Below the peak a server's answers come
soon whatever its way of waiting; near it they queue, and above it there is no
end to the queue: the bend is what is looked for.
"""

import dataclasses

import measure
import paired
import scenarios
from contestants import Failed, Skipped
from plan import Cell
from results import RATE, value

FRACTIONS = (0.1, 0.25, 0.5, 0.7, 0.85, 1.0, 1.2)  # of the peak
TRIES = 3
DIGITS = 2  # of a rate: nobody compares 9 735 with 10 211
# As many rates come of it as of any other peak.
ANY_PEAK = 1_000


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
    if not scenarios.find(name).takes_rate:
        return []
    return [f"{name}{scenarios.AT}{rate}" for rate in dict.fromkeys(rates)]


def rates_below_and_above(peak):
    return [rounded(fraction * peak) for fraction in FRACTIONS]


def rounded(rate):
    return int(float(f"{rate:.{DIGITS - 1}e}")) or 1


def planned(plan, peaks):
    """The plan with the rates that belong to {scenario: its peak}."""
    chosen = []
    for name in plan.scenarios:
        chosen.append(name)
        if name in peaks:
            chosen += scheduled(name, rates_below_and_above(peaks[name]))
    return dataclasses.replace(plan, scenarios=tuple(chosen))


def foreseen(plan, names):
    """A plan of as many cells, before the peaks are known."""
    return planned(plan, dict.fromkeys(names, ANY_PEAK))


def peak(plan, name, where, load):
    """How many requests per second the reference answers in a closed loop, the
    median of some tries. Raises Failed."""
    found = []
    for block in range(TRIES):
        cell = Cell(block, 0, name, plan.reference)
        try:
            fields = measure.measure(cell, plan, where, load)
        except Skipped as reason:
            raise Failed(f"{plan.reference.label}: {reason}") from None
        rate = value(fields, RATE)
        if rate is None:
            why = fields.get("first_error") or fields["reason"]
            raise Failed(f"{plan.reference.label} has no peak in {name}: {why}")
        found.append(rate)
    return paired.median(found)
