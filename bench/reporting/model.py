"""What all ways of showing have in common: numbers with their spread, curves
and tables of them, and the figures that they make up."""

import dataclasses

import paired


@dataclasses.dataclass(frozen=True)
class Spread:
    """The cells of a contestant: their median and how far they lie apart.
    `invalid`: the load's own times are not to be trusted in any of them;
    `bound`: the median is at least that."""

    median: float
    low: float
    high: float
    count: int
    invalid: bool = False
    bound: bool = False

    @property
    def is_exact(self):
        return not self.invalid and not self.bound


def spread(sample, unit=1):
    """Of what Results.sample() returns, in so large units; None of nothing."""
    values, invalid, bound = sample
    if not values:
        return None
    values = [value / unit for value in values]
    low, high = min(values), max(values)
    middle = paired.median(values)
    return Spread(middle, low, high, len(values), invalid, bound)


@dataclasses.dataclass(frozen=True)
class Curve:
    """A contestant's Spreads, by the number that stands on the other axis.
    `style` is the contestant's place among all, the same in every figure;
    `ghost` marks the reference's second part."""

    label: str
    style: int
    points: dict
    ghost: bool = False


@dataclasses.dataclass(frozen=True)
class Axis:
    """`ticks` are (number, text). A logarithmic one holds nothing below its
    first number."""

    title: str
    scale: str = "linear"  # log, or tail for percentiles
    ticks: tuple = ()


@dataclasses.dataclass(frozen=True)
class Panel:
    """One drawing: curves over an axis, or without one a dot for each."""

    title: str
    y: Axis
    curves: tuple
    x: Axis | None = None

    @property
    def is_empty(self):
        return not any(one.points for one in self.curves)


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows are (label, entries); an entry is a Spread, a number, a text, or
    None for what is not known. `folded`: only who asks for it sees it."""

    caption: str
    columns: tuple
    rows: tuple
    folded: bool = False


@dataclasses.dataclass(frozen=True)
class View:
    """A figure for one scenario: what may be said, the drawings, the tables,
    and further sentences for who asks for them. The first `answers` sentences
    answer the figure's question."""

    scenario: str
    title: str
    said: tuple
    panels: tuple
    tables: tuple
    count: str  # how many cells
    more: tuple = ()
    answers: int = 2


@dataclasses.dataclass(frozen=True)
class Missing:
    """Why there is no figure, and the command that measures what it takes."""

    why: str
    command: str


@dataclasses.dataclass(frozen=True)
class Figure:
    """`views` are the main one and the same for other scenarios; none of them
    where something is missing."""

    name: str
    title: str
    question: str
    reading: str
    unit: str
    views: tuple
    missing: Missing | None = None
