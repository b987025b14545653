"""Who won, in words, or that nobody did."""

import paired
from results import CALLS, MEMORY, NO_PAIRS, OF_THE_SERVER, RATE, SWITCHES
from table import ratio_text, short

from . import scales

MICRO = "\N{MICRO SIGN}"
NAMED = 4  # at most, in one sentence
KIB = 1024
UNITS = {RATE: "a second", CALLS: "calls", SWITCHES: "switches"}


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
    values = [results.median(scenario, label, metric)[0]
              for label in (best, others[0])]  # fmt: skip
    first, second = (worded(value, metric) for value in values)
    return (
        f"{of_what}: {short(best)} won, with {first} against {second} of the "
        f"next, {short(others[0])}."
    )


def unbeaten(results, scenario, metric, order):
    """The first whom nobody is measurably better than. Medians are of all
    visits, and comparisons of those that two have in common: the best median is
    not always his, and there may be none."""
    better = paired.MORE if metric == RATE else paired.LESS
    for label in order:
        if better not in (results.compared(scenario, other, label, metric)
                          for other in order if other != label):  # fmt: skip
            return label
    return None


def sort_out(results, scenario, metric, best, others):
    """(those behind the best, those it cannot be told from, those of which too
    little is known)"""
    worse = paired.LESS if metric == RATE else paired.MORE
    behind, level, untold = [], [], []
    for other in others:
        found = results.compared(scenario, other, best, metric)
        if found == worse:
            behind.append(other)
        elif found == paired.SAME:
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


def worded(value, metric):
    if metric == MEMORY:
        return f"{scales.digits(value / KIB)} KiB"
    return f"{scales.digits(value)} {UNITS.get(metric, MICRO + 's')}"


def noise(results, scenario, metric):
    """What the twin says."""
    name = short(results.plan.reference.label)
    twin = results.ratio(scenario, results.plan.twin.label, metric)
    floor = paired.noise_floor(twin)
    if floor is None:
        return (
            f"How much is noise is not known: {name} was not measured against "
            "itself often enough."
        )
    return (
        f"Noise: {name} against itself came to {ratio_text(twin)}; nothing "
        f"below a factor of {floor:.3f} is ranked."
    )


def verdict(results, scenario, label, metric):
    """Ratio and verdict against the reference, as the tables show them."""
    said = results.verdict(scenario, label, metric)
    if said in (NO_PAIRS, "reference"):
        return said
    return f"{ratio_text(results.ratio(scenario, label, metric))} {said}"
