"""What the tests of the load in a run say of it: what it can drive at all (a
bare echo, the null test), and whether twice as many who ask change the rate."""

import paired
from plan import DOUBLED_SUFFIX, NULL_SUFFIX
from results import RATE, TAIL, value

NULL_MIN = 1.5  # times what the fastest server took
DOUBLED_MAX = 0.03  # by so much the rate may change


def sentences(results, scenario):
    """Those that a scenario's cells allow."""
    known = (null(results, scenario), doubled(results, scenario))
    return [said for said in known if said]


def middle(lines, metric):
    found = [value(line, metric) for line in lines]
    known = [x for x in found if x is not None]
    return paired.median(known) if known else None


def null(results, scenario):
    """Of a bare echo, which does nothing but return what comes."""
    lines = results.tests_of_the_load(scenario, NULL_SUFFIX)
    if not lines:
        return None
    if results.is_at_equal_rates(scenario):
        return null_latency(results, scenario, middle(lines, TAIL))
    driven = middle(lines, RATE)
    fastest, label = most(results, scenario)
    if not driven or not fastest:
        return "Null test: nothing was answered, so nothing is known of the load."
    times = driven / fastest
    said = (
        f"Null test: the load drives a bare echo at {driven:.0f} a second, "
        f"{times:.2f} times what the fastest server took ({label}, "
        f"{fastest:.0f})"
    )
    if times >= NULL_MIN:
        return said + ": it is not what limits them."
    return (
        f"{said}. That is less than {NULL_MIN:g} times: how much faster than "
        f"{driven / NULL_MIN:.0f} a second a server is cannot be known here."
    )


def null_latency(results, scenario, late):
    """Where all are asked at the same rate, or one at a time, it is the part of
    a latency that is not the server's."""
    there = [results.median(scenario, label, TAIL).value
             for label in labels(results)]  # fmt: skip
    known = [x for x in there if x]
    if not late or not known:
        return None
    return (
        f"Null test: a bare echo's p99 is {late:.0f} us, against {min(known):.0f} "
        "us of the soonest server: so much is the load, the kernel and the "
        "machine."
    )


def labels(results):
    return [results.plan.reference.label, *results.others]


def most(results, scenario):
    """(the greatest rate, whose)"""
    medians = [(results.median(scenario, label, RATE).value or 0, label)
               for label in labels(results)]  # fmt: skip
    return max(medians)


def doubled(results, scenario):
    """Of the reference asked by twice as many."""
    lines = results.tests_of_the_load(scenario, DOUBLED_SUFFIX)
    label = results.plan.reference.label
    usual = results.median(scenario, label, RATE).value
    twice = middle(lines, RATE)
    if not twice or not usual:
        return None
    change = twice / usual - 1
    said = (
        f"Doubled load: asked by twice as many, {label} answered {twice:.0f} a "
        f"second instead of {usual:.0f} ({change:+.1%})"
    )
    if abs(change) < DOUBLED_MAX:
        return f"{said}, a change of less than {DOUBLED_MAX:.0%}."
    return (
        f"{said}: more than {DOUBLED_MAX:.0%}, so the rate here may be that of "
        "how it was asked, too."
    )
