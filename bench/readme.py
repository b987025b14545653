"""The table of a document, written from a results file that it names."""

import os

import atomic
import journal
import scenarios
from results import CPU, RATE, Results
from table import METRIC_TITLES, count_text, doubtful, how_sure, ratio_text
from table import short, smallest_text

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NUMBERS = {
    None: "n", RATE: "per s", "p50": "p50 us", "p99": "p99 us", CPU: "CPU us"
}  # fmt: skip
LEGEND = (
    "n: cells that count, of how many if there are others; >=: a lower bound, "
    "since the load or its schedule was what limited; ~: of INVALID cells alone."
)


def between(document, begin, end, rows):
    """The document's text with other rows between its markers."""
    head, has_begin, rest = document.read_text("utf-8").partition(begin)
    _, has_end, tail = rest.partition(end)
    if not has_begin or not has_end:
        raise ValueError(f"{document} has no lines {begin} and {end}")
    return f"{head}{begin}\n{rows}\n{end}{tail}"


def rewrite(document, results_file):
    """Replaces what stands between the markers. Returns an exit code."""
    results = Results(journal.parse(results_file)[0])
    if not results.scenarios():
        raise ValueError(f"{results_file}: nothing was measured")
    name = os.path.relpath(results_file, document.parent)
    rows = "\n".join(markdown(results, name))
    atomic.write(document, between(document, BEGIN, END, rows))
    return 0


def markdown(results, name):
    """The lines: a table for each scenario but that of rest, what its verdicts
    mean, and where the numbers come from."""
    for scenario in results.scenarios():
        found = scenarios.find(scenario)
        if found.metric != scenarios.REST:
            yield from scenario_table(results, scenario, found.title)
    yield f"{LEGEND} {how_sure()}"
    yield ""
    machine = results.description["machine"]
    missing = results.missing()
    broken_off = f", broken off with {missing} cells to go," if missing else ""
    yield (
        f"{results.plan.blocks} blocks of {results.plan.seconds:g} s{broken_off} on "
        f"{machine['processors']} processors ({machine['processor']}, Linux "
        f"{machine['kernel']}), {results.description['placement']}, commit "
        f"{results.description['commit'] or 'unknown'}; from [{name}]({name})."
    )


def scenario_table(results, scenario, title):
    """With a ratio and a verdict for each metric that has one there."""
    compared = results.tables(scenario)[0]
    capacity = results.is_at_equal_rates(scenario)
    heads = ["server", *NUMBERS.values(), *["per CPU s"] * capacity]
    for metric in compared:
        heads += [f"{METRIC_TITLES[metric]} / reference", "verdict"]
    numeric = len(heads) - 1 - 2 * len(compared)
    yield f"**{scenario}**: {title}."
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield "| --- |" + " --: |" * numeric + " --- | --- |" * len(compared)
    for contestant in results.plan.contestants:
        label = contestant.label
        if results.median(scenario, label, RATE).value is not None:
            columns = row(results, scenario, label, compared, capacity)
            yield f"| {' | '.join(columns)} |"
    yield ""
    found = [
        f"by {METRIC_TITLES[metric]} {said}" for metric in compared
        if (said := smallest_text(results, scenario, metric))
    ]  # fmt: skip
    if found:
        yield f"Such a table finds in nine runs of ten {', '.join(found)}."
        yield ""


def row(results, scenario, label, compared, capacity):
    counted = count_text(results, scenario, label, compared[0])
    medians = (results.median(scenario, label, m) for m in NUMBERS if m)
    columns = [f"`{short(label)}`", counted, *map(doubtful, medians)]
    if capacity:
        columns.append(doubtful(results.per_cpu_second(scenario, label)))
    for metric in compared:
        columns += [ratio_text(results.ratio(scenario, label, metric)),
                    results.verdict(scenario, label, metric)]  # fmt: skip
    return columns
