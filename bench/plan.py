"""Which cells are measured, and in what order.

A block measures every scenario once, and in it every contestant twice: in an
order shuffled anew, and then in the reverse one. What the machine does slowly
(a clock that drops, a neighbour that begins to work) falls on all of them
alike, and a block too many or too few does no harm. Each cell has a server
process of its own.

The first contestant is the reference, and takes part a second time under
another name: what sets the two apart is the machine's doing.
"""

import dataclasses
import math
import random

TWIN_SUFFIX = " again"
VISITS = 2
# Start and end of the server, connecting, and the load's warm-up.
CELL_OVERHEAD_SECONDS = 1.3
CELL_SECONDS_MIN = 0.5  # of measuring: with less, a run says little
HOSTS_OVERHEAD_SECONDS = 2  # to start loads on other hosts


@dataclasses.dataclass(frozen=True)
class Contestant:
    """`label` is how the results call it, `name` what is started."""

    label: str
    name: str


@dataclasses.dataclass(frozen=True)
class Cell:
    block: int
    visit: int
    scenario: str
    contestant: Contestant

    @property
    def key(self):
        return self.block, self.visit, self.scenario, self.contestant.label

    @property
    def pair(self):
        """Cells with the same pair were measured beside each other."""
        return self.block, self.visit


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that decides what is measured, so that a run can be gone on with."""

    names: tuple  # contestants, the reference first
    scenarios: tuple
    blocks: int
    seconds: float
    seed: int
    pinned: bool = True
    client: str | None = None  # of the load; None for the first that works
    rate: float | None = None  # requests per second; None for a closed loop
    bound_us: float | None = None  # search the highest rate with this p99
    hosts: tuple = ()  # the lines of hosts.txt; () for this machine alone

    @property
    def reference(self):
        return Contestant(self.names[0], self.names[0])

    @property
    def twin(self):
        return Contestant(self.names[0] + TWIN_SUFFIX, self.names[0])

    @property
    def contestants(self):
        others = [Contestant(name, name) for name in self.names[1:]]
        return [self.reference, self.twin, *others]

    def cells(self):
        """All cells in the order of measuring: the same for the same seed."""
        shuffle = random.Random(self.seed).shuffle
        cells = []
        for block in range(self.blocks):
            scenarios = list(self.scenarios)
            shuffle(scenarios)
            for scenario in scenarios:
                there = self.contestants
                shuffle(there)
                for visit, order in enumerate((there, there[::-1])):
                    cells += [Cell(block, visit, scenario, c) for c in order]
        return cells

    @property
    def overhead_seconds(self):
        others = HOSTS_OVERHEAD_SECONDS if self.hosts else 0
        return CELL_OVERHEAD_SECONDS + others

    def cell_seconds(self, loads=1):
        """About how long a cell takes that runs the load so many times."""
        return (self.seconds + self.overhead_seconds) * loads

    def within(self, limit_seconds):
        """The same with shorter cells, where all of them would take longer."""
        if self.cell_seconds() * len(self.cells()) <= limit_seconds:
            return self
        share = limit_seconds / len(self.cells()) - self.overhead_seconds
        seconds = max(math.floor(10 * share) / 10, CELL_SECONDS_MIN)
        return dataclasses.replace(self, seconds=seconds)

    def to_json(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields):
        """Raises TypeError for fields that are not a plan's."""
        for name in ("blocks", "seconds", "seed"):
            if not isinstance(fields.get(name), int | float):
                raise TypeError(f"{name} is not a number")
        names = "names", "scenarios", "hosts"
        lists = {n: tuple(fields[n]) for n in names if n in fields}
        return cls(**{**fields, **lists})


def spell_seconds(seconds):
    """3:05, or 1:03:05 from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
