"""Who won, in words, or that nobody did."""

import paired
import verdicts
from results import (
    CALLS, MEMORY, OF_THE_SERVER, RATE, REFERENCE_WORD, REST_CPU, SWITCHES,
    WAKE_UPS,
)  # fmt: skip
from table import mark_of, ratio_text, short, smallest_text

from . import scales

MICRO = "\N{MICRO SIGN}"
NAMED = 4  # at most, in one sentence
KIB = 1024
UNITS = {
    RATE: "a second", CALLS: "calls", SWITCHES: "switches",
    REST_CPU: MICRO + "s a second", WAKE_UPS: "a second",
}  # fmt: skip
BETTER = {verdicts.LESS, verdicts.NONE_OF_IT}
WORSE = {verdicts.MORE, verdicts.SOME_OF_IT}


def ranked(results, scenario, metric):
    """The contestants of which cells may be compared, the best first, without
    the twin."""
    twin = results.plan.twin.label
    found = {
        c.label: list(results.values(scenario, c.label, metric).values())
        for c in results.plan.contestants if c.label != twin
    }  # fmt: skip
    medians = {label: paired.median(v) for label, v in found.items() if v}
    return sorted(medians, key=medians.get, reverse=metric == RATE)


def winner(results, scenario, metric, of_what):
    """One sentence. `of_what` names what is compared: "CPU time"."""
    order = ranked(results, scenario, metric)
    if not results.table_of(scenario, metric):
        return (
            f"{of_what}: nobody is ranked, since not all were asked at the same "
            "rate."
        )
    if not order:
        why = "no cell is VALID"
        if metric in OF_THE_SERVER:
            why = "nothing of it was counted"
        return f"{of_what}: nobody can be ranked, since {why}."
    best = unbeaten(results, scenario, metric, order)
    if best is None:
        return (
            f"{of_what}: nobody won; each is measurably behind another, some "
            "in a circle."
        )
    others = [label for label in order if label != best]
    if not others:
        return f"{of_what}: only {short(best)} can be ranked."
    sorted_out = sort_out(results, scenario, metric, best, others)
    behind, level, untold = sorted_out
    if len(untold) == len(others):
        return (
            f"{of_what}: nobody can be called the winner "
            f"({why_untold(results, scenario, metric, best, others)})."
        )
    if not behind and not untold:
        return (
            f"{of_what}: nobody won; there is no measurable difference between "
            f"{listed([best, *level])}."
        )
    if level or untold:
        return f"{of_what}: {shared_lead(best, behind, level, untold)}"
    first, second = (
        worded(results.median(scenario, label, metric), metric)
        for label in (best, others[0])
    )
    return (
        f"{of_what}: {short(best)} won, with {first} against {second} of the "
        f"next, {short(others[0])}."
    )


def unbeaten(results, scenario, metric, order):
    """The first whom nobody is measurably better than. Medians are of all
    visits, and comparisons of those that two have in common: the best median is
    not always his, and there may be none."""
    better = WORSE if metric == RATE else BETTER
    for label in order:
        if not any(results.compared(scenario, other, label, metric) in better
                   for other in order if other != label):  # fmt: skip
            return label
    return None


def sort_out(results, scenario, metric, best, others):
    """(those behind the best, those it cannot be told from, those of which too
    little is known)"""
    worse = BETTER if metric == RATE else WORSE
    behind, level, untold = [], [], []
    for other in others:
        found = results.compared(scenario, other, best, metric)
        if found in worse:
            behind.append(other)
        elif found in verdicts.ALIKE:
            level.append(other)
        else:
            untold.append(other)
    return behind, level, untold


def why_untold(results, scenario, metric, best, others):
    reasons = {results.compared(scenario, o, best, metric) for o in others}
    return ", ".join(sorted(reasons))


def shared_lead(best, behind, level, untold):
    """For where one is ahead of some and not of others."""
    said = f"nobody won alone. {short(best)} is behind nobody"
    if level:
        said += f", with no measurable difference to {listed(level)}"
    if behind:
        said += f"; measurably behind: {listed(behind)}"
    if untold:
        said += f"; too little is known of {listed(untold)}"
    return said + "."


def listed(labels):
    names = [short(label) for label in labels]
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} others"
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def worded(found, metric):
    mark = mark_of(found)
    if metric == MEMORY:
        return f"{mark}{scales.digits(found.value / KIB)} KiB"
    return f"{mark}{scales.digits(found.value)} {UNITS.get(metric, MICRO + 's')}"


def beside(results, scenario, metric):
    """One sentence with everybody in it: how each compares with the
    reference."""
    said = {}
    for label in results.others:
        word = results.verdict(scenario, label, metric)
        said.setdefault(word, []).append(short(label))
    if not said:
        return "Nobody else was asked."
    name = short(results.plan.reference.label)
    parts = [f"{word}: {', '.join(who)}" for word, who in said.items()]
    return f"Beside {name}, {'; '.join(parts)}."


def noise(results, scenario, metric):
    """What the twin says, and what such a table can find."""
    name = short(results.plan.reference.label)
    floor = results.floor(metric)
    if floor is None:
        return (
            f"How much is noise is not known: {name} was not measured against "
            "itself often enough."
        )
    twin = results.ratio(scenario, results.plan.twin.label, metric)
    found = smallest_text(results, scenario, metric)
    count = results.verdict_count(scenario, metric)
    return (
        f"Noise: {name} against itself came to {ratio_text(twin)} here, and in "
        f"the whole run to between {floor.low:.3f} and {floor.high:.3f}; what is "
        "no further from 1 than that, up or down, is not ranked."
        + (f" Such a table, of {count} verdicts, finds {found} in nine runs of "
           "ten." if found else "")
    )  # fmt: skip


def capacity(results, scenario, at):
    """How many requests a CPU serves, of everybody."""
    found = {
        label: results.per_cpu_second(scenario, label)
        for label in (results.plan.reference.label, *results.others)
    }
    known = [label for label, x in found.items() if x.value is not None]
    known.sort(key=lambda label: found[label].value, reverse=True)
    told = [f"{short(x)} {mark_of(found[x])}{scales.digits(found[x].value)}"
            for x in known]  # fmt: skip
    unknown = [short(label) for label in found if label not in known]
    rest = f"; not known of {', '.join(unknown)}" if unknown else ""
    return (
        f"Capacity, in requests per second of a CPU {at}: "
        f"{', '.join(told) or 'nothing known'}{rest}."
    )


def reached(results, scenario):
    """The rate that each reached, or is known to reach at least."""
    told = []
    for label in (results.plan.reference.label, *results.others):
        found = results.median(scenario, label, RATE)
        if found.value is not None:
            rate = scales.digits(found.value)
            told.append(f"{short(label)} {mark_of(found)}{rate}")
    return f"Rate reached: {', '.join(told)} a second."


def verdict(results, scenario, label, metric):
    """Ratio and verdict against the reference, as the tables show them."""
    said = results.verdict(scenario, label, metric)
    ratio = results.ratio(scenario, label, metric)
    if ratio is None or said == REFERENCE_WORD:
        return said
    return f"{ratio_text(ratio)} {said}"
