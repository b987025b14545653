"""The results as text of at most 80 columns, to be read without colour."""

import pathlib
import textwrap

import paired
import scenarios
from plan import VISITS
from results import CONFIDENCE, CPU, RATE, REFERENCE_WORD, TAIL, TWIN_WORD
from results import switches_per_request as switches_of

WIDTH = 80
NAME = 20
RARE = 0.005  # of a request
STOLEN = 0.01  # of a processor
METRIC_TITLES = {RATE: "rate", TAIL: "p99", CPU: "CPU"}


def number(value, width=0):
    """Three digits or more; "-" for what is not known."""
    if value is None:
        return f"{'-':>{width}}"
    return f"{value:>{width}.{decimals(value, 100)}f}"


def decimals(value, integral_from):
    """So many digits behind the point that there are as many in all."""
    digits = 0
    while abs(value) < integral_from and integral_from > 1:
        integral_from /= 10
        digits += 1
    return digits


def doubtful(median, width=0):
    """A median and whether it is of INVALID cells alone."""
    value, invalid = median
    text = number(value)
    return f"{'~' + text if invalid and value is not None else text:>{width}}"


def ratio_text(ratio):
    """Of the same width for any size of a ratio, about."""
    if ratio is None:
        return "-"
    parts = [ratio.median, ratio.low, ratio.high]
    texts = [f"{x:.{decimals(x, 1000)}f}"[:5] for x in parts if x is not None]
    if len(texts) == 1:
        return texts[0]
    return f"{texts[0]} [{texts[1]} {texts[2]}]"


def printable(text):
    """Without anything that a terminal might take for a command: some texts are
    of programs that are not ours."""
    return "".join(c if c.isprintable() else "?" for c in text)


def short(label):
    """A server given by its path is called by its file."""
    return pathlib.Path(label).name[:NAME]


def render(results):
    """All tables, a list of lines."""
    lines = []
    for scenario in results.scenarios():
        lines += ["", *heading(results, scenario)]
        if scenarios.find(scenario).metric == scenarios.REST:
            lines += rest_rows(results, scenario)
        elif labels(results, scenario):
            metric = results.metric(scenario)
            lines += speed_rows(results, scenario, metric)
            lines += said_of(results, scenario, metric)
            lines += cpu_rows(results, scenario)
            lines += said_of(results, scenario, CPU)
        lines += notes(results, scenario)
    return lines + memory_rows(results)


def heading(results, scenario):
    plan = results.plan
    found = scenarios.find(scenario)
    pace = ""
    if plan.rate is not None:
        pace = f", {plan.rate:.0f} requests per second on a schedule"
    if plan.bound_us is not None:
        pace = f", the highest rate with a p99 of {plan.bound_us:.0f} us"
    lines = [f"{scenario}: {found.title}{pace}"]
    metric = results.metric(scenario)
    twin = results.ratio(scenario, plan.twin.label, metric)
    if found.metric == scenarios.REST or twin is None:
        return lines
    floor = paired.noise_floor(twin)
    said = f"{short(plan.reference.label)} against itself: {ratio_text(twin)}"
    if floor is not None:
        said += f"; beyond {floor:.3f} is ranked"
    return lines + [said]


def labels(results, scenario):
    there = [c.label for c in results.plan.contestants]
    return [
        label for label in there
        if results.cells(scenario, label)
        and results.skipped(scenario, label) is None
    ]  # fmt: skip


def said_of(results, scenario, metric):
    """The verdicts in words; who has the same one is named together."""
    said = {}
    for label in labels(results, scenario):
        verdict = results.verdict(scenario, label, metric)
        if verdict not in (REFERENCE_WORD, TWIN_WORD):
            said.setdefault(verdict, []).append(short(label))
    texts = [f"{', '.join(who)} {what}" for what, who in said.items()]
    return wrap(texts and f"by {METRIC_TITLES[metric]}: {'; '.join(texts)}")


def compared(results, scenario, label, metric):
    if label == results.plan.reference.label:
        return REFERENCE_WORD
    return ratio_text(results.ratio(scenario, label, metric))


def speed_rows(results, scenario, metric):
    yield (f"{'':<{NAME}} {'per s':>8} {'p50 us':>8} {'p99 us':>8} "
           f"{'calls':>6} {METRIC_TITLES[metric]} / reference")  # fmt: skip
    for label in labels(results, scenario):
        medians = [results.median(scenario, label, m)
                   for m in (RATE, "p50", "p99")]  # fmt: skip
        numbers = " ".join(doubtful(median, 8) for median in medians)
        calls = sum(
            all_calls_by_name(results.cells(scenario, label)).values()
        )
        yield (
            f"{short(label):<{NAME}} {numbers} {number(calls or None, 6)} "
            f"{compared(results, scenario, label, metric)}"
        )


def cpu_rows(results, scenario):
    yield (f"{'':<{NAME}} {'CPU us':>8} {'machine':>8} {'switch':>8} "
           f"{'thr':>6} CPU / reference")  # fmt: skip
    for label in labels(results, scenario):
        cells = results.cells(scenario, label)
        yield (
            f"{short(label):<{NAME}} "
            f"{doubtful(results.median(scenario, label, CPU), 8)} "
            f"{number(middle(cells, 'machine_cpu_us'), 8)} "
            f"{number(switches_per_request(cells), 8)} "
            f"{most_threads(cells):>6} "
            f"{compared(results, scenario, label, CPU)}"
        )


def middle(cells, field):
    values = [c[field] for c in cells if c.get(field) is not None]
    return paired.median(values) if values else None


def switches_per_request(cells):
    found = map(switches_of, cells)
    values = [x for x in found if x is not None]
    return paired.median(values) if values else None


def most_threads(cells):
    return max((c["threads"] for c in cells if "threads" in c), default="-")


def rest_rows(results, scenario):
    yield (f"{'':<{NAME}} {'CPU us/s':>10} {'wake-ups/s':>10} "
           f"{'threads':>7}")  # fmt: skip
    for label in labels(results, scenario):
        cells = [c for c in results.cells(scenario, label) if "spent_s" in c]
        if not cells:
            continue
        busy = [c["spent_s"]["server"] * 1e6 / c["spent_s"]["at"]
                for c in cells]  # fmt: skip
        woken = [c["switches_per_s"]["voluntary"] for c in cells
                 if c["switches_per_s"]]  # fmt: skip
        yield (
            f"{short(label):<{NAME}} {number(paired.median(busy), 10)} "
            f"{number(paired.median(woken) if woken else None, 10)} "
            f"{most_threads(cells):>7}"
        )


def notes(results, scenario):
    """What has no column; who is not there, or not as often as the others, and
    why."""
    most = []
    for label in labels(results, scenario):
        cells = results.cells(scenario, label)
        if label != results.plan.twin.label:
            yield from wrap(calls_note(cells, label))
        if ended := max(map(slow_ended, cells), default=0):
            yield from wrap(f"{short(label)} ended {ended} of the slow readers")
        peaks = [c["peak_bytes"] for c in cells if c.get("peak_bytes")]
        if peaks:
            most.append(f"{short(label)} {max(peaks) / (1 << 20):.1f}")
    yield from wrap(most and f"most memory in use, MB: {', '.join(most)}")
    yield from wrap(stolen(results, scenario))
    for contestant in results.plan.contestants:
        label = contestant.label
        if reason := results.skipped(scenario, label):
            yield from wrap(f"{short(label)} is skipped: {reason}")
        elif left_out := results.left_out(scenario, label):
            count, all_of_them, why = left_out
            yield from wrap(
                f"{short(label)}: {count} of {all_of_them} left out, the "
                f"first: {why}"
            )


def slow_ended(cell):
    return (cell.get("load") or {}).get("slow_ended", 0)


def calls_by_name(cells):
    """System calls of a request, those that are rare left out."""
    return {
        name: count
        for name, count in all_calls_by_name(cells).items()
        if count >= RARE
    }


def all_calls_by_name(cells):
    counted = [c["calls_per_request"] for c in cells
               if c.get("calls_per_request")]  # fmt: skip
    return {
        name: paired.median([calls.get(name) or 0 for calls in counted])
        for name in sorted({name for calls in counted for name in calls})
    }


def calls_note(cells, label):
    texts = [f"{n} {number(x)}" for n, x in calls_by_name(cells).items()]
    return texts and f"{short(label)} calls {', '.join(texts)}"


def stolen(results, scenario):
    """What the hypervisor took, if it was worth mentioning."""
    spent = [
        cell["spent_s"]
        for contestant in results.plan.contestants
        for cell in results.cells(scenario, contestant.label)
        if "spent_s" in cell
    ]
    seconds = sum(s["at"] for s in spent)
    share = sum(s["stolen"] for s in spent) / seconds if seconds else 0
    return share >= STOLEN and f"the hypervisor took {share:.1%} of a processor"


def wrap(text):
    """A note's lines; none if there is none."""
    return textwrap.wrap(
        text or "", WIDTH, initial_indent="  ", subsequent_indent="    ",
        break_on_hyphens=False,
    )  # fmt: skip


def memory_rows(results):
    rows = []
    for contestant in results.plan.contestants:
        own = results.bytes_per_idle(contestant.label, "own")
        kernel = results.bytes_per_idle(contestant.label, "kernel")
        if own is not None or kernel is not None:
            rows.append(f"{short(contestant.label):<{NAME}} "
                        f"{number(own, 10)} {number(kernel, 10)}")  # fmt: skip
    if not rows:
        return []
    return [
        "",
        "Bytes for each idle connection (kernel: an estimate, from what the",
        "whole machine holds, for both ends)",
        f"{'':<{NAME}} {'own':>10} {'kernel':>10}",
        *rows,
    ]


def legend(results):
    """What the columns are, once, in front of the tables."""
    plan = results.plan
    text = (
        f"Medians of {plan.blocks} blocks, {VISITS} visits in each, of "
        f"{plan.seconds:g} s; seed {plan.seed}; "
        f"{results.description['placement']}. "
        "Per request: calls, the server's system calls; CPU us, its time on a "
        "processor, all threads; machine, that of everybody; switch, changes "
        "of context. thr: threads at most. ~: only of cells in which the load "
        "was INVALID. Ratios are of neighbours, with the interval that holds "
        f"the truth in {CONFIDENCE:.0%} of all cases."
    )
    return textwrap.wrap(text, WIDTH)
