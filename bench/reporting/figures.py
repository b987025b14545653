"""Which numbers answer which question: the five figures."""

import shlex

import paired
import scenarios
import tests_of_load
from contestants import PEERS
from results import (
    CALLS, CPU, MEMORY, RATE, REST_CPU, SWITCHES, TAIL, WAKE_UPS, Sample,
    percentiles, send_lag,
)  # fmt: skip
from table import calls_by_name, labels, number

from . import drawing, judgement, scales, words
from .model import Axis, Curve, Figure, Missing, Panel, Table, View, spread

FIVE = ("p50", "p90", "p99", "p99.9", "max")
TAIL_TICKS = (0, 50, 90, 99, 99.9, 99.99, 99.999)
TABLE_NOTE = "median, and in small print the least and the greatest cell"
KIB = 1024
MANY = 5  # names that fit into a command


def build(results, chosen=None):
    """All five. `chosen` is the scenario that stands in front; a ValueError if
    there is none of that name."""
    main = main_scenario(results, chosen)
    return [
        latency(results, main),
        load(results, main),
        cpu(results, main),
        calls(results, main),
        idle(results),
    ]


def main_scenario(results, chosen=None):
    """The usual case if it was measured, else the first that was asked
    anything; None if there is none."""
    there = [s for s in results.scenarios() if answered(results, s)]
    if chosen is not None and chosen not in there:
        found = ", ".join(there) or "none"
        raise ValueError(f"no answers in a scenario {chosen}; there is {found}")
    usual = [s for s in there if s.partition(scenarios.AT)[0] == "S2"]
    closed = [s for s in there if not is_scheduled(s)]
    return chosen or next(iter(sorted(usual, key=is_scheduled) + closed + there),
                          None)  # fmt: skip


def answered(results, scenario):
    return any(
        "latency_us" in cell
        for contestant in results.plan.contestants
        for cell in results.cells(scenario, contestant.label)
    )


def is_scheduled(scenario):
    return scenarios.find(scenario).rate is not None


def showing(results, main, metric):
    """The scenario that tells most, the main one, and all others that are not
    its rates, as far as they have numbers of that kind."""
    front = telling(results, main, metric) if main else None
    rates = at_rates(results, main).values() if main else ()
    others = [s for s in results.scenarios()
              if s not in (main, front) and s not in rates
              and scenarios.find(s).metric != scenarios.REST]  # fmt: skip
    chosen = dict.fromkeys((front, main, *others))
    return [s for s in chosen if s and measures(results, s, metric)]


def telling(results, main, metric):
    """Where all are asked at the same rate, and as many of them as may be have
    something to compare; of such rates the one nearest to half of what is
    offered at most. Else the main scenario itself, if it compares them, or any
    that does."""
    rates = at_rates(results, main)
    counts = {rate: sum(bool(results.values(scenario, label, metric))
                        for label in labels(results, scenario))
              for rate, scenario in rates.items()}  # fmt: skip
    most = max(counts.values(), default=0)
    if most:
        half = max(rates) / 2
        full = [rate for rate in rates if counts[rate] == most]
        return rates[min(full, key=lambda rate: abs(rate - half))]
    comparing = [s for s in (main, *results.scenarios())
                 if metric in results.tables(s)[0]
                 or metric in (CALLS, SWITCHES) and results.table_of(s, metric)]
    return next(iter([s for s in comparing if measures(results, s, metric)]),
                main)  # fmt: skip


def measures(results, scenario, metric):
    return any(
        results.sample(scenario, label, metric)[0]
        for label in labels(results, scenario)
    )


# ---- What the figures have in common -----------------------------------------


def ordered(results, scenario, metric):
    """Labels by value, the best first; who has none comes last."""
    there = labels(results, scenario)
    medians = {x: results.median(scenario, x, metric) for x in there}

    def place(label):
        value, invalid, _ = medians[label]
        if value is None:
            return 2, 0
        return int(invalid), -value if metric == RATE else value

    return sorted(there, key=place)


def style_of(results, label):
    """The place among the contestants: the twin has the reference's."""
    plan = results.plan
    names = [c.label for c in plan.contestants if c.label != plan.twin.label]
    return 0 if label == plan.twin.label else names.index(label)


def curve(results, label, points):
    known = {x: found for x, found in points.items() if found is not None}
    ghost = label == results.plan.twin.label
    return Curve(label, style_of(results, label), known, ghost)


def cell_count(results, scenario, label):
    """How many are VALID, of how many: "8 of 10"."""
    cells = results.cells(scenario, label)
    valid = [c for c in cells if c.get("verdict") == "VALID"
             and not c["errors"]]  # fmt: skip
    return f"{len(valid)} of {len(cells)}"


def count_of(results, scenario):
    """n, in words."""
    plan = results.plan
    cells = [len(results.cells(scenario, label))
             for label in labels(results, scenario)]  # fmt: skip
    least, most = min(cells, default=0), max(cells, default=0)
    n = f"{most}" if least == most else f"{least} to {most}"
    return (
        f"n = {n} cells per server, of {plan.seconds:g} s each, in up to "
        f"{plan.blocks} blocks, each with a fresh process"
    )


def sample(results, scenario, label, metric):
    unit = KIB if metric == MEMORY else 1
    return spread(results.sample(scenario, label, metric), unit)


def measured(results, options):
    """A command for the same servers, or the usual ones where there are too
    many to name."""
    names = results.plan.names
    if len(names) <= MANY:
        options += named(names)
    return f"bench/compare {options} --report build/report"


def named(names):
    """They are models, peers, or paths."""
    paths = [name for name in names if "/" in name]
    peers = [name for name in names if name in PEERS]
    models = [name for name in names if name not in paths + peers]
    options = [("models", ",".join(models)), ("peers", ",".join(peers)),
               *(("server", path) for path in paths)]  # fmt: skip
    return "".join(f" --{option} {shlex.quote(value)}"
                   for option, value in options if value)  # fmt: skip


def title_of(results, scenario):
    return f"{scenario}: {scenarios.find(scenario).title}{pace(results)}"


def pace(results):
    """How all of a run's scenarios were asked, if not in a closed loop."""
    plan = results.plan
    if plan.rate is not None:
        return f", {thousands(plan.rate)} requests per second on a schedule"
    if plan.bound_us is not None:
        bound = thousands(plan.bound_us)
        return f", the highest rate with a p99 of {bound} µs"
    return ""


# ---- 1. Latency by percentile ------------------------------------------------


def latency(results, main):
    chosen = showing(results, main, TAIL)
    views = [latency_view(results, scenario) for scenario in chosen]
    return Figure(
        name="latency",
        title="Latency by percentile",
        question="How long do most requests take, and how long the unlucky "
        "ones?",
        reading="Each step to the right leaves fewer requests beyond it: at "
        "99 % one of a hundred takes longer. A line that stays low and flat is "
        "good; one that climbs at the right makes some wait much longer than "
        "most. A percentile is shown if each cell had ten requests beyond it.",
        unit="microseconds, lower is better",
        views=tuple(views),
        missing=None if views else nothing_asked(results),
    )


def nothing_asked(results):
    return Missing(
        "In this run no server gave an answer that counts.",
        measured(results, "--quick"),
    )


def latency_view(results, scenario):
    order = ordered(results, scenario, TAIL)
    known = common_percentiles(results, scenario, order)
    curves = [
        curve(results, label, {
            p: sample(results, scenario, label, f"p{p:g}") for p in known
        })
        for label in order
    ]  # fmt: skip
    ticks = [(p, f"{p:g} %") for p in TAIL_TICKS if p <= max(known, default=0)]
    panel = Panel(
        "Latency", Axis("microseconds, lower is better", "log"), tuple(curves),
        Axis("of all requests, so many take at most that long", "tail",
             tuple(ticks)),
    )  # fmt: skip
    return View(
        scenario, title_of(results, scenario),
        (words.winner(results, scenario, TAIL, of_what(scenario)),
         *compared(results, scenario, TAIL), loop(results, scenario),
         *tests_of_load.sentences(results, scenario)),
        (panel,),
        (latency_table(results, scenario, order),
         judgement.of_load(results, scenario, order),
         curve_table(known, curves)),
        count_of(results, scenario),
        answers=1 + bool(results.table_of(scenario, TAIL)),
    )  # fmt: skip


def compared(results, scenario, metric):
    """Everybody beside the reference, and how much of it may be noise."""
    if not results.table_of(scenario, metric):
        return ()
    return (words.beside(results, scenario, metric),
            words.noise(results, scenario, metric))  # fmt: skip


def of_what(scenario):
    return f"99th percentile{at(scenario)}"


def loop(results, scenario):
    """What a latency means there."""
    if is_scheduled(scenario) or results.plan.rate is not None:
        return (
            "All were asked at the same rate, on a schedule that no answer "
            "moves; a latency begins when a request should have been sent."
            + lateness(results, scenario)
        )
    if results.plan.bound_us is not None:
        return "Each was asked at the highest rate that it stands."
    return (
        "Closed loop: each connection asks again as soon as it is answered, so "
        "a faster server is asked more often. To compare latencies at the same "
        f"rate: {measured(results, f'--sweep --scenario {scenario}')}"
        if scenarios.find(scenario).takes_rate
        else "Closed loop: each connection asks again as soon as it may."
    )


def lateness(results, scenario):
    """Of whose slowest answers the load may be the cause: no verdict is made of
    so few. By the load's own measure of it (bench/load/report.cpp)."""
    found = {}
    for label in labels(results, scenario):
        pairs = [(send_lag(cell, "p99.9"), cell["latency_us"]["p99.9"])
                 for cell in results.cells(scenario, label)
                 if cell.get("verdict") == "VALID"]  # fmt: skip
        known = [pair for pair in pairs if None not in pair]
        if not known:
            continue
        lag, took = map(paired.median, zip(*known))
        if lag > max(100, took / 10):
            found[label] = f"{words.short(label)} {scales.digits(lag)} µs"
    if not found:
        return ""
    return (
        " At 99.9 % the load may be the cause, which sent one of a thousand "
        f"so late or later: {', '.join(found.values())}."
    )


def common_percentiles(results, scenario, order):
    """Those that every cell which counts has, so that no line is of the fast
    cells alone; 100 has no place on the axis."""
    found = {50, 90, 99, 99.9}
    for label in order:
        for cell in results.cells(scenario, label):
            found |= {p for p, _ in percentiles(cell)}
    counts = {label: len(results.sample(scenario, label, "p50")[0])
              for label in order}  # fmt: skip
    return [
        p for p in sorted(found)
        if p < 100 and all(
            len(results.sample(scenario, label, f"p{p:g}")[0]) == counts[label]
            for label in order
        )
    ]  # fmt: skip


def latency_table(results, scenario, order):
    rows = [
        (label, (
            *(sample(results, scenario, label, name) for name in FIVE),
            sample(results, scenario, label, RATE),
            cell_count(results, scenario, label),
            words.verdict(results, scenario, label, TAIL),
        ))
        for label in order
    ]  # fmt: skip
    columns = (
        *(f"{heading_of(name)}, µs" for name in FIVE), "answers per second",
        "VALID cells", "p99 / reference",
    )  # fmt: skip
    return Table(f"Latency: {TABLE_NOTE}", columns, tuple(rows))


def heading_of(name):
    return "greatest" if name == "max" else f"{name.removeprefix('p')} %"


def curve_table(known, curves):
    rows = [
        (c.label, tuple(c.points[p].median if p in c.points else None
                        for p in known))
        for c in curves
    ]  # fmt: skip
    columns = tuple(f"{p:g} %" for p in known)
    return Table("Every point of the lines, µs", columns, tuple(rows), True)


# ---- 2. Latency against offered load -----------------------------------------


def load(results, main):
    if results.plan.bound_us is not None and measures(results, main, RATE):
        return saturation(results, main)
    rates = at_rates(results, main) if main else {}
    cost = telling(results, main, CPU) if main else None
    known = cost and results.is_at_equal_rates(cost)
    views = ()
    if len(rates) > 1:
        views = (load_view(results, main, rates, cost if known else None),)
    elif known and measures(results, cost, CPU):
        views = (capacity_view(results, main, cost),)
    return Figure(
        name="load",
        title="Latency against offered load, and capacity",
        question="How many requests per second may come before they begin to "
        "wait for each other?",
        reading="All are asked at the same rates, whether they keep up or not. "
        "Where a line bends upwards, requests queue: that is the server's "
        "limit. The further to the right it bends, the better. At low rates "
        "latency may fall as load rises, for an idle processor wakes slowly. "
        "Capacity is how many requests a server could answer in a second of a "
        "CPU, by what one of them costs at an equal rate.",
        unit="99th percentile in microseconds, lower is better; requests per "
        "second of a CPU, higher is better",
        views=views,
        missing=None if views else without_rates(results, main),
    )


def without_rates(results, main):
    wanted = main if main and scenarios.find(main).takes_rate else "S2"
    return Missing(
        "This run asked in a closed loop only: as fast as answers came.",
        measured(results, f"--sweep --scenario {wanted}"),
    )


# ---- Capacity ----


def capacity_panel(results, order, cost):
    curves = tuple(
        curve(results, label, {0: per_cpu(results, cost, label)})
        for label in order
    )
    return Panel("Requests per second of a CPU", Axis("higher is better"),
                 curves)  # fmt: skip


def per_cpu(results, scenario, label):
    found = results.sample(scenario, label, CPU)
    if not all(found.values):
        return None
    return spread(found._replace(values=[1e6 / x for x in found.values]))


def capacity_said(results, main, cost):
    rate = scenarios.find(cost).rate or results.plan.rate
    asked = f"at {thousands(rate)} a second" if rate else f"in {cost}"
    said = (words.capacity(results, cost, asked),
            f"CPU time. {words.beside(results, cost, CPU)}")  # fmt: skip
    closed = main.partition(scenarios.AT)[0]
    if closed in results.scenarios() and closed != cost:
        said += (words.reached(results, closed),
                 *tests_of_load.sentences(results, closed))  # fmt: skip
    return said


def capacity_table(results, main, cost):
    """What a request costs, what that makes in a second of a CPU, and the rate
    that was reached, which is a bound where the load was what limited."""
    closed = main.partition(scenarios.AT)[0]
    asked = closed if closed in results.scenarios() else cost
    rows = [
        (label, (
            per_cpu(results, cost, label), sample(results, cost, label, CPU),
            words.verdict(results, cost, label, CPU),
            sample(results, asked, label, RATE),
            words.verdict(results, asked, label, RATE),
            judgement.limits(results.cells(asked, label)),
        ))
        for label in ordered(results, cost, CPU)
    ]  # fmt: skip
    columns = (
        "requests per second of a CPU", "CPU µs per request",
        "CPU / reference", f"rate reached in {asked}", "rate / reference",
        "limited by",
    )  # fmt: skip
    return Table(f"Capacity, by {cost}: {TABLE_NOTE}", columns, tuple(rows))


def capacity_view(results, main, cost):
    order = ordered(results, cost, CPU)
    return View(
        cost, title_of(results, cost),
        (*capacity_said(results, main, cost), words.noise(results, cost, CPU)),
        (capacity_panel(results, order, cost),),
        (capacity_table(results, main, cost),), count_of(results, cost),
    )  # fmt: skip


def saturation(results, main):
    """Of a run that searched for each server's highest rate."""
    order = ordered(results, main, RATE)
    rows = [
        (label, (sample(results, main, label, RATE),
                 cell_count(results, main, label),
                 words.verdict(results, main, label, RATE)))
        for label in order
    ]  # fmt: skip
    panel = dots(results, main, order, RATE, "Highest rate",
                 "requests per second, higher is better")  # fmt: skip
    columns = "requests per second", "VALID cells", "rate / reference"
    view = View(
        main, title_of(results, main),
        (words.winner(results, main, RATE, "Highest rate"),
         *compared(results, main, RATE)),
        (panel,), (Table(f"The highest rate that was stood: {TABLE_NOTE}",
                         columns, tuple(rows)),),
        count_of(results, main),
    )  # fmt: skip
    return Figure(
        name="load",
        title="The highest load",
        question="How many requests per second may come before they begin to "
        "wait for each other?",
        reading="Each server was asked faster and faster, until one of a "
        "hundred answers came later than the bound.",
        unit="requests per second, higher is better",
        views=(view,),
    )


def at_rates(results, main):
    """{rate: scenario} of what belongs to the main one."""
    closed = main.partition(scenarios.AT)[0]
    found = {}
    for name in results.scenarios():
        scenario = scenarios.find(name)
        mine = name.partition(scenarios.AT)[0] == closed
        scheduled = scenario.rate is not None
        if mine and scheduled and measures(results, name, TAIL):
            found[scenario.rate] = name
    return dict(sorted(found.items()))


def load_view(results, main, rates, cost):
    order = by_capacity(results, rates)
    curves = [
        curve(results, label, {
            rate: sample(results, scenario, label, TAIL)
            for rate, scenario in rates.items()
        })
        for label in order
    ]  # fmt: skip
    ticks = tuple((rate, scales.brief(rate)) for rate in rates)
    panel = Panel(
        "99th percentile", Axis("microseconds, lower is better", "log"),
        tuple(curves), Axis("requests per second offered", ticks=ticks),
    )  # fmt: skip
    last = list(rates.values())[-1]
    won = [words.winner(results, scenario, TAIL,
                        f"At {thousands(rate)} per second")
           for rate, scenario in rates.items()]  # fmt: skip
    closed = main.partition(scenarios.AT)[0]
    best = telling_rate(results, rates)
    scenario = list(rates.values())[best]
    capacity = capacity_said(results, main, cost) if cost else ()
    panels = (panel,)
    tables = (load_table(results, rates, curves),
              kept_table(results, rates, order))  # fmt: skip
    if cost:
        by_cost = ordered(results, cost, CPU)
        # Of many the drawing of CPU time, its inverse, has to do.
        if len(by_cost) <= drawing.LINES_MAX:
            panels += (capacity_panel(results, by_cost, cost),)
        tables += (capacity_table(results, main, cost),)
    return View(
        closed, title_of(results, closed).partition(", which")[0],
        (*capacity[:2], won[best], words.beside(results, scenario, TAIL),
         *capacity[2:], words.noise(results, scenario, TAIL)),
        panels, tables, count_of(results, last), tuple(won),
    )  # fmt: skip


def telling_rate(results, rates):
    """The number of the highest one at which at least two can be ranked."""
    ranked = [len(words.ranked(results, scenario, TAIL))
              for scenario in rates.values()]  # fmt: skip
    return max((k for k, count in enumerate(ranked) if count > 1), default=0)


def by_capacity(results, rates):
    """Who is early at the highest rates stands first."""
    order = []
    for scenario in reversed(rates.values()):
        order += [label for label in ordered(results, scenario, TAIL)
                  if label not in order]  # fmt: skip
    return order


def thousands(rate):
    return f"{rate:,.0f}".replace(",", scales.THIN_SPACE)


def load_table(results, rates, curves):
    columns = (*(f"{thousands(rate)} per s" for rate in rates), "VALID cells")
    rows = [
        (c.label, (*(c.points.get(rate) for rate in rates),
                   valid_cells(results, rates, c.label)))
        for c in curves
    ]  # fmt: skip
    caption = f"99th percentile in µs at each offered rate: {TABLE_NOTE}"
    return Table(caption, columns, tuple(rows))


def valid_cells(results, rates, label):
    counts = [cell_count(results, s, label).split(" of ")
              for s in rates.values()]  # fmt: skip
    return " of ".join(str(sum(map(int, both))) for both in zip(*counts))


def kept_table(results, rates, order):
    columns = tuple(f"{thousands(rate)} per s" for rate in rates)
    rows = [
        (label, tuple(sample(results, scenario, label, RATE)
                      for scenario in rates.values()))
        for label in order
    ]  # fmt: skip
    caption = f"Answers per second at each offered rate: {TABLE_NOTE}"
    return Table(caption, columns, tuple(rows), True)


# ---- 3. CPU per request ------------------------------------------------------


def cpu(results, main):
    there = showing(results, main, CPU)
    return Figure(
        name="cpu",
        title="CPU per request",
        question="How much of a processor does one request cost?",
        reading="The dot is the median of a server's cells, the bar reaches "
        "from the least to the greatest. Where bars overlap widely, a "
        "difference of the dots means little; the verdict says whether it "
        "means anything. It is the server's own time, in the program and in "
        "the kernel on its behalf, all its threads together.",
        unit="microseconds of CPU time per request, lower is better",
        views=tuple(cpu_view(results, scenario) for scenario in there),
        missing=None if there else nothing_asked(results),
    )


def dots(results, scenario, order, metric, title, unit):
    curves = tuple(
        curve(results, label, {0: sample(results, scenario, label, metric)})
        for label in order
    )
    return Panel(title, Axis(unit), curves)


def at(scenario):
    rate = scenarios.find(scenario).rate
    return f" at {thousands(rate)} requests per second" if rate else ""


def cpu_view(results, scenario):
    order = ordered(results, scenario, CPU)
    rows = [
        (label, (
            sample(results, scenario, label, CPU),
            machine_time(results, scenario, label),
            cell_count(results, scenario, label),
            words.verdict(results, scenario, label, CPU),
        ))
        for label in order
    ]  # fmt: skip
    columns = (
        "server, µs", "whole machine, µs", "VALID cells", "CPU / reference",
    )  # fmt: skip
    return View(
        scenario, title_of(results, scenario),
        (words.winner(results, scenario, CPU, f"CPU time{at(scenario)}"),
         *compared(results, scenario, CPU)),
        (dots(results, scenario, order, CPU, "CPU time of the server",
              "microseconds per request, lower is better"),),
        (Table(f"CPU time per request: {TABLE_NOTE}", columns, tuple(rows)),),
        count_of(results, scenario),
    )  # fmt: skip


def machine_time(results, scenario, label):
    """With the load's and everybody's else."""
    found = [c["machine_cpu_us"] for c in results.cells(scenario, label)
             if c.get("machine_cpu_us") is not None
             and not c.get("errors")]  # fmt: skip
    return spread(Sample(found))


# ---- 4. System calls and context switches ------------------------------------


def calls(results, main):
    there = showing(results, main, SWITCHES)
    views = tuple(calls_view(results, scenario) for scenario in there)
    return Figure(
        name="calls",
        title="System calls and context switches per request",
        question="How often does a server ask the kernel for something, and "
        "how often does it lose or give up the processor?",
        reading="Fewer calls than two per request mean that one call served "
        "several. A switch for each request means that the server fell asleep "
        "after each. Calls are those that the server counts itself; a peer "
        "that does not is not in the first drawing.",
        unit="per request, lower is better",
        views=views,
        missing=None if there else nothing_asked(results),
    )


def calls_view(results, scenario):
    order = ordered(results, scenario, CALLS)
    rows = [
        (label, (
            sample(results, scenario, label, CALLS),
            by_name(results, scenario, label),
            words.verdict(results, scenario, label, CALLS),
            sample(results, scenario, label, SWITCHES),
            words.verdict(results, scenario, label, SWITCHES),
            str(len(results.sample(scenario, label, SWITCHES)[0])),
        ))
        for label in order
    ]  # fmt: skip
    columns = (
        "system calls", "of these", "calls / reference", "context switches",
        "switches / reference", "cells",
    )  # fmt: skip
    switching = ordered(results, scenario, SWITCHES)
    return View(
        scenario, title_of(results, scenario),
        (words.winner(results, scenario, CALLS, "System calls"),
         *compared(results, scenario, CALLS)[:1],
         words.winner(results, scenario, SWITCHES, "Context switches"),
         *compared(results, scenario, SWITCHES)),
        (dots(results, scenario, order, CALLS, "System calls",
              "per request, lower is better"),
         dots(results, scenario, switching, SWITCHES, "Context switches",
              "per request, lower is better")),
        (Table(f"Per request: {TABLE_NOTE}", columns, tuple(rows)),),
        count_of(results, scenario),
    )  # fmt: skip


def by_name(results, scenario, label):
    counts = calls_by_name(results.cells(scenario, label))
    greatest = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {number(x)}" for name, x in greatest) or None


# ---- 5. Cost of idle connections ---------------------------------------------


def idle(results):
    sizes = {
        size: name for size, name in results.idle_sizes().items()
        if measures(results, name, CPU)
    }  # fmt: skip
    rest = [s for s in results.scenarios()
            if scenarios.find(s).metric == scenarios.REST
            and measures(results, s, REST_CPU)]  # fmt: skip
    if len(sizes) > 1:
        views = (idle_view(results, sizes),)
    else:
        views = tuple(beside_idle(results, s) for s in sizes.values())
    views += tuple(rest_view(results, s) for s in rest)
    missing = None
    if not views:
        missing = Missing(
            "It takes idle connections; this run has none.",
            measured(results, "--scenario S3"),
        )
    return Figure(
        name="idle",
        title="Cost of idle connections",
        question="What do connections cost that say nothing, in time and in "
        "memory?",
        reading="Ten connections are busy, beside others that are not. A flat "
        "line in a drawing of time means that an idle connection costs none; "
        "one that rises, that the server or the kernel looks at each of them "
        "again and again. Memory is by how much the connections made the "
        "server's own grow. Verdicts are about the greatest number of "
        "connections.",
        unit="microseconds of CPU time per request, and KiB; lower is better",
        views=views,
        missing=missing,
    )


def beside_idle(results, scenario):
    """Of one number of idle connections."""
    order = ordered(results, scenario, CPU)
    idle_count = scenarios.find(scenario).idle
    beside = f"beside {thousands(idle_count)} idle connections"
    rows = [
        (label, (
            sample(results, scenario, label, CPU),
            words.verdict(results, scenario, label, CPU),
            sample(results, scenario, label, MEMORY),
            each(results, scenario, label, idle_count),
            words.verdict(results, scenario, label, MEMORY),
            cell_count(results, scenario, label),
        ))
        for label in order
    ]  # fmt: skip
    columns = ("CPU, µs per request", "CPU / reference", "memory, KiB",
               "bytes each, at most", "memory / reference",
               "VALID cells")  # fmt: skip
    by_memory = ordered(results, scenario, MEMORY)
    return View(
        scenario, title_of(results, scenario),
        (words.winner(results, scenario, CPU, f"CPU time {beside}"),
         words.beside(results, scenario, CPU),
         words.winner(results, scenario, MEMORY, f"Memory {beside}"),
         words.beside(results, scenario, MEMORY),
         *compared(results, scenario, CPU)[1:]),
        (dots(results, scenario, order, CPU, "CPU time",
              "microseconds per request, lower is better"),
         dots(results, scenario, by_memory, MEMORY, "Memory",
              "KiB, lower is better")),
        (Table(f"Beside idle connections: {TABLE_NOTE}", columns,
               tuple(rows)),), count_of(results, scenario), answers=4,
    )  # fmt: skip


def each(results, scenario, label, idle_count):
    """Bytes of an idle connection, the ten busy ones' share with them."""
    found = results.median(scenario, label, MEMORY).value
    return None if found is None else found / idle_count


def rest_view(results, scenario):
    """Nobody asks for anything: what a server does all the same."""
    order = ordered(results, scenario, REST_CPU)
    rows = [
        (label, (
            sample(results, scenario, label, REST_CPU),
            words.verdict(results, scenario, label, REST_CPU),
            sample(results, scenario, label, WAKE_UPS),
            words.verdict(results, scenario, label, WAKE_UPS),
        ))
        for label in order
    ]  # fmt: skip
    columns = ("CPU, µs per second", "CPU / reference", "wake-ups per second",
               "wake-ups / reference")  # fmt: skip
    return View(
        scenario, title_of(results, scenario),
        (words.winner(results, scenario, REST_CPU, "CPU time at rest"),
         words.beside(results, scenario, REST_CPU),
         words.noise(results, scenario, REST_CPU)),
        (dots(results, scenario, order, REST_CPU, "CPU time at rest",
              "microseconds per second, lower is better"),),
        (Table(f"At rest: {TABLE_NOTE}", columns, tuple(rows)),),
        count_of(results, scenario),
    )  # fmt: skip


def idle_curves(results, sizes, order, metric):
    return tuple(
        curve(results, label, {
            size: sample(results, scenario, label, metric)
            for size, scenario in sizes.items()
        })
        for label in order
    )  # fmt: skip


def idle_view(results, sizes):
    largest = list(sizes.values())[-1]
    order = ordered(results, largest, CPU)
    ticks = tuple((size, scales.brief(size)) for size in sizes)
    axis = Axis("idle connections", "log", ticks)
    panels = (
        Panel("CPU time", Axis("microseconds per request, lower is better",
                               "log"),
              idle_curves(results, sizes, order, CPU), axis),
        Panel("Memory", Axis("KiB, lower is better", "log"),
              idle_curves(results, sizes, ordered(results, largest, MEMORY),
                          MEMORY), axis),
    )  # fmt: skip
    beside = f"beside {thousands(max(sizes))} idle connections"
    return View(
        largest, f"S3: 10 connections busy, {thousands(min(sizes))} to "
        f"{thousands(max(sizes))} idle",
        (words.winner(results, largest, CPU, f"CPU time {beside}"),
         *compared(results, largest, CPU)[:1],
         words.winner(results, largest, MEMORY, f"Memory {beside}"),
         *compared(results, largest, MEMORY)),
        panels, idle_tables(results, sizes, panels),
        count_of(results, largest), answers=5,
    )  # fmt: skip


def idle_tables(results, sizes, panels):
    largest = list(sizes.values())[-1]
    columns = tuple(f"{thousands(size)} idle" for size in sizes)
    time_rows = [
        (c.label, (*(c.points.get(size) for size in sizes),
                   cell_count(results, largest, c.label),
                   words.verdict(results, largest, c.label, CPU)))
        for c in panels[0].curves
    ]  # fmt: skip
    memory_rows = [
        (c.label, (*(c.points.get(size) for size in sizes),
                   results.bytes_per_idle(c.label, "own"),
                   results.bytes_per_idle(c.label, "kernel"),
                   words.verdict(results, largest, c.label, MEMORY)))
        for c in panels[1].curves
    ]  # fmt: skip
    return (
        Table(f"CPU time per request in µs: {TABLE_NOTE}",
              (*columns, "VALID cells", "CPU / reference"),
              tuple(time_rows)),
        Table("By how much the server's memory grew, in KiB, and bytes for "
              f"each idle connection: {TABLE_NOTE}",
              (*columns, "bytes each", "bytes each in the kernel (estimate)",
               "memory / reference"),
              tuple(memory_rows)),
    )  # fmt: skip
