"""The table of a document, written from a results file that it names."""

import os

import atomic
import journal
import scenarios
from results import CPU, RATE, Results
from table import doubtful, ratio_text, short

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


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
    """The lines: a table for each scenario but that of rest, and where the
    numbers come from."""
    for scenario in results.scenarios():
        found = scenarios.find(scenario)
        if found.metric != scenarios.REST:
            yield from scenario_table(results, scenario, found.title)
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
    metric = results.metric(scenario)
    yield f"**{scenario}**: {title}."
    yield ""
    yield ("| server | per s | p50 us | p99 us | CPU us | rate / reference "
           "| verdict | CPU / reference | verdict |").replace(
               "rate /", f"{metric} /")  # fmt: skip
    yield "| --- | --: | --: | --: | --: | --- | --- | --- | --- |"
    for contestant in results.plan.contestants:
        label = contestant.label
        medians = [results.median(scenario, label, m)
                   for m in (RATE, "p50", "p99", CPU)]  # fmt: skip
        if medians[0][0] is None:
            continue
        columns = [f"`{short(label)}`", *(doubtful(m) for m in medians)]
        for kind in (metric, CPU):
            columns += [ratio_text(results.ratio(scenario, label, kind)),
                        results.verdict(scenario, label, kind)]  # fmt: skip
        yield f"| {' | '.join(columns)} |"
    yield ""
