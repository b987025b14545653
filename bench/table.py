"""The results as text of at most 80 columns, to be read without colour."""

import pathlib
import textwrap

import paired
import scenarios
import tests_of_load
from results import (
    CPU, RATE, REFERENCE_WORD, REST_CPU, TAIL, WAKE_UPS
)  # fmt: skip
from results import switches_per_request as switches_of

WIDTH = 80
NAME = 20
RARE = 0.005  # of a request
STOLEN = 0.01  # of a processor
SMALLEST_MAX = 10  # a run that finds no less than that was too short
METRIC_TITLES = {
    RATE: "rate", TAIL: "p99", CPU: "CPU", REST_CPU: "CPU",
    WAKE_UPS: "wake-ups",
}  # fmt: skip


def number(value, width=0):
    """Three digits or more; "-" for what is not known."""
    if value is None:
        return f"{'-':>{width}}"
    if abs(value) >= 1e8:
        return f"{value:>{width}.2g}"
    return f"{value:>{width}.{decimals(value, 100)}f}"


def decimals(value, integral_from):
    """So many digits behind the point that there are as many in all."""
    digits = 0
    while abs(value) < integral_from and integral_from > 1:
        integral_from /= 10
        digits += 1
    return digits


def doubtful(median, width=0):
    """A median, and whether it is of INVALID cells alone, or a lower bound."""
    text = mark_of(median) + number(median.value)
    return f"{text if median.value is not None else '-':>{width}}"


def mark_of(found):
    """In front of what is a lower bound, and of what is of INVALID cells."""
    return ">= " if found.bound else "~" if found.invalid else ""


def ratio_text(ratio):
    """Of the same width for any size of a ratio, about. A bound has an interval
    that is open on one side."""
    if ratio is None:
        return "-"
    if ratio.said:
        return ratio.said
    middle, low, high = (
        ".." if x is None else f"{x:.{decimals(x, 1000)}f}"[:5]
        for x in (ratio.factor, ratio.low, ratio.high)
    )
    if low == high == "..":
        return ratio.side + middle
    return f"{ratio.side}{middle} [{low} {high}]"


def count_text(results, scenario, label, metric):
    """n: of how many cells a number is, "2/10" where others do not count."""
    cells = len(results.cells(scenario, label))
    counted = len(results.readings(scenario, label, metric))
    return f"{counted}" if counted == cells else f"{counted}/{cells}"


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
            for metric in (REST_CPU, WAKE_UPS):
                lines += said_of(results, scenario, metric)
        elif labels(results, scenario):
            metric = results.metric(scenario)
            lines += speed_rows(results, scenario, metric)
            lines += said_of(results, scenario, metric)
            lines += cpu_rows(results, scenario)
            if results.is_at_equal_rates(scenario):
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
    metric = results.metric(scenario)
    lines = [f"{scenario}: {found.title}{pace}"]
    twin = results.ratio(scenario, plan.twin.label, metric)
    if found.metric != scenarios.REST and twin is not None:
        name = short(plan.reference.label)
        lines.append(f"{name} against itself: {ratio_text(twin)}"
                     f"{floor_text(results, metric)}")  # fmt: skip
    if found := smallest_text(results, scenario, metric):
        lines.append(f"Such a table finds {found} in nine runs of ten.")
    return lines


def smallest_text(results, scenario, metric):
    """What difference would not be missed; "" where nothing was tested."""
    smallest = results.smallest_difference(scenario, metric)
    if smallest is None:
        return ""
    if smallest > SMALLEST_MAX:
        return f"no difference below {SMALLEST_MAX:g} times"
    return f"a difference of {smallest:.2f} times"


def floor_text(results, metric):
    floor = results.floor(metric)
    if floor is None:
        return ""
    return f"; in all scenarios {floor.low:.3f} to {floor.high:.3f}"


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
        if label in results.others:
            verdict = results.verdict(scenario, label, metric)
            said.setdefault(verdict, []).append(short(label))
    texts = [f"{', '.join(who)} {what}" for what, who in said.items()]
    return wrap(texts and f"by {METRIC_TITLES[metric]}: {'; '.join(texts)}")


def compared(results, scenario, label, metric):
    if label == results.plan.reference.label:
        return REFERENCE_WORD
    return ratio_text(results.ratio(scenario, label, metric))


def speed_rows(results, scenario, metric):
    yield (f"{'':<{NAME}} {'n':>5} {'per s':>9} {'p50 us':>7} {'p99 us':>7} "
           f"{'calls':>5} {METRIC_TITLES[metric]} / reference")  # fmt: skip
    for label in labels(results, scenario):
        numbers = " ".join(
            doubtful(results.median(scenario, label, name), width)
            for name, width in ((RATE, 9), ("p50", 7), ("p99", 7))
        )
        counted = count_text(results, scenario, label, metric)
        calls = all_calls(results.cells(scenario, label))
        yield (
            f"{short(label):<{NAME}} {counted:>5} {numbers} "
            f"{number(calls, 5)} {compared(results, scenario, label, metric)}"
        )


def cpu_rows(results, scenario):
    """With a verdict where all were asked at the same rate."""
    equal = results.is_at_equal_rates(scenario) or ""
    yield (f"{'':<{NAME}} {'CPU us':>8} {'machine':>7} {'switch':>7} "
           f"{'thr':>4} {'per CPU':>8} "
           f"{equal and 'CPU / reference'}".rstrip())  # fmt: skip
    for label in labels(results, scenario):
        cells = results.cells(scenario, label)
        yield (
            f"{short(label):<{NAME}} "
            f"{doubtful(results.median(scenario, label, CPU), 8)} "
            f"{number(middle(cells, 'machine_cpu_us'), 7)} "
            f"{number(switches_per_request(cells), 7)} "
            f"{most_threads(cells):>4} "
            f"{doubtful(results.per_cpu_second(scenario, label), 8)} "
            f"{equal and compared(results, scenario, label, CPU)}".rstrip()
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
        busy, woken = (results.median(scenario, label, metric).value
                       for metric in (REST_CPU, WAKE_UPS))  # fmt: skip
        if busy is None and woken is None:
            continue
        yield (
            f"{short(label):<{NAME}} {number(busy, 10)} {number(woken, 10)} "
            f"{most_threads(results.cells(scenario, label)):>7}"
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
    for said in tests_of_load.sentences(results, scenario):
        yield from wrap(said)
    for contestant in results.plan.contestants:
        label = contestant.label
        if reason := results.skipped(scenario, label):
            yield from wrap(f"{short(label)} is skipped: {reason}")
        elif left_out := results.left_out(scenario, label):
            count, all_of_them, why = left_out
            yield from wrap(
                f"{short(label)}: {count} of {all_of_them} left out"
                f"{of_what(results, scenario, label)}, the first: {why}"
            )


def of_what(results, scenario, label):
    """A rate that the load limited is not left out: it is a bound."""
    known = results.readings(scenario, label, RATE).values()
    return " of latencies" if any(one.bound for one in known) else ""


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


def all_calls(cells):
    """Of a request; None where nobody counted them."""
    calls = all_calls_by_name(cells)
    return sum(calls.values()) if calls else None


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
        f"Medians of {plan.blocks} blocks, cells of {plan.seconds:g} s; seed "
        f"{plan.seed}; {results.description['placement']}. "
        "n: cells that count, of how many if there are others. >=: a lower "
        "bound, since load or schedule was what limited. ~: only of cells in "
        "which the load was INVALID. Per request: calls, the server's system "
        "calls; CPU us, its time on a processor, all threads; machine, that of "
        "everybody; switch, changes of context. thr: threads at most. per CPU: "
        "requests in a second of a CPU, where all are asked at the same rate. "
        + how_sure()
    )
    return textwrap.wrap(text, WIDTH)


def how_sure():
    """What the verdicts promise, and what they assume."""
    return (
        "Verdicts compare with the reference, block by block (t of the "
        "logarithms, which are assumed to stray normally), and are corrected "
        "for how many a table has (Holm): of 100 tables of equals 95 have no "
        "false one."
    )
