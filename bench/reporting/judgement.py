"""What the load says of its own measuring, cell by cell, in a table: who
limited, how many of its samples are independent, and whether its sends came as
its schedule has them."""

import paired
import results as cell

from . import scales
from .model import Table

RARE = 0.001  # a p-value below it, as the load itself has it
OLDER = " (by a load that does not say all of it)"


def limits(cells):
    """Who was what limited: "load 3, server 4"."""
    found = [cell.limited_by(c) or "server" for c in cells
             if cell.value(c, cell.RATE)]  # fmt: skip
    counts = {who: found.count(who) for who in dict.fromkeys(found)}
    return ", ".join(f"{who} {count}" for who, count in counts.items()) or None


def known(cells, name):
    """The values of the cells that have one."""
    values = (cell.of_load(c, name) for c in cells if "verdict" in c)
    return [x for x in values if x is not None]


def middle(values):
    return paired.median(values) if values else None


def interval(cells, name="p99"):
    """In microseconds: the percentile and its 95 % interval, each the median of
    the cells'."""
    found = [intervals.get(name) for intervals in known(cells, "intervals_us")]
    ends = [both for both in found if both and None not in both]
    late = [cell.latencies(c).get(name) for c in cells if "verdict" in c]
    late = [x for x in late if x is not None]
    if not ends or not late:
        return None
    low, high = (scales.digits(middle(side)) for side in zip(*ends))
    return f"{scales.digits(middle(late))} [{low} {high}]"


def rare(cells, name):
    """In how many cells a test of the load's came to a p-value below RARE, as it
    does in one healthy cell of a hundred: "0 of 7"."""
    values = known(cells, name)
    if not values:
        return None
    return f"{sum(x < RARE for x in values)} of {len(values)}"


def of_load(results, scenario, order):
    rows = []
    for label in order:
        cells = results.cells(scenario, label)
        rows.append((label, (
            limits(cells), middle(known(cells, "effective_n")),
            interval(cells), rare(cells, "gaps_p"),
            rare(cells, "stationarity_p"), middle(known(cells, "threads")),
            middle(known(cells, "cpu_share")),
        )))  # fmt: skip
    told = any(entry is not None for _, row in rows for entry in row[1:])
    columns = (
        "limited by, cells", "independent samples", "99 %, µs, with its 95 %",
        f"sends off their schedule, p < {RARE:g}",
        f"latencies with a trend, p < {RARE:g}", "asking threads",
        "CPU share of each",
    )  # fmt: skip
    return Table(
        "What the load says of itself: medians of its cells"
        + ("" if told else OLDER), columns, tuple(rows), True,
    )  # fmt: skip
