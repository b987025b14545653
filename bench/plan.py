"""Which cells are measured, and in what order.

A block measures every scenario once, and in it every contestant once, in an
order shuffled anew. What the machine does slowly (a clock that drops, a
neighbour that begins to work) falls on all of them alike, and a block too many
or too few does no harm. Each cell has a server process of its own. How many
blocks there are follows from the time; a cell is never cut short.

The first contestant is the reference, and takes part a second time under
another name: what sets the two apart is the machine's doing. Two more take
part that are not compared. The null is the cheapest echo there is: what the
load reaches with it is what the load can do. Doubled is the reference, asked by
twice as many connections: if it answers more then, it was not asked enough.
"""

import dataclasses
import random

import scenarios
from contestants import BARE

TWIN_SUFFIX, NULL_SUFFIX, DOUBLED_SUFFIX = " again", " null", " doubled"
VISITS = 2  # of a journal that does not say: there and back
# Start and end of the server and of the load, and its warm-up; and what it
# takes to connect those who then are idle.
CELL_OVERHEAD_SECONDS = 0.36
IDLE_SECONDS = 1 / 6_000
HOSTS_OVERHEAD_SECONDS = 3  # to start loads on other hosts
BLOCKS_MIN = 7  # fewer reach no verdict that is corrected for many


@dataclasses.dataclass(frozen=True)
class Contestant:
    """`label` is how the results call it, `name` what is started."""

    label: str
    name: str
    is_doubled: bool = False  # asked by twice as many connections


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
    visits: int = 1  # of each contestant in a block
    once: tuple = ()  # of the scenarios, those in the first block alone
    null: bool = False  # whether null and doubled take part
    clients: bool = False  # the names are clients, and all ask `server`
    server: str | None = None
    load_threads: int = 1  # that ask
    server_threads: int = 1  # of servers that have several

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
            chosen = self._scenarios_of(block)
            shuffle(chosen)
            for scenario in chosen:
                there = self._taking_part(scenario, block)
                shuffle(there)
                for visit in range(self.visits):
                    order = there[::-1] if visit % 2 else there
                    cells += [Cell(block, visit, scenario, c) for c in order]
        return cells

    def _scenarios_of(self, block):
        return [s for s in self.scenarios if block == 0 or s not in self.once]

    def _taking_part(self, scenario, block):
        """Once is too rarely for the twin to say anything."""
        there = self.contestants
        if scenario in self.once:
            there.remove(self.twin)
        if not self.null:
            return there
        if block == 0 and scenarios.find(scenario).has_null:
            there.append(Contestant(BARE + NULL_SUFFIX, BARE))
        if scenario == scenarios.CAPACITY:
            name = self.reference.name
            there.append(Contestant(name + DOUBLED_SUFFIX, name, True))
        return there

    def cell_seconds(self, scenario):
        """About how long one takes from beginning to end."""
        overhead = CELL_OVERHEAD_SECONDS
        overhead += scenarios.find(scenario).idle * IDLE_SECONDS
        overhead += HOSTS_OVERHEAD_SECONDS if self.hosts else 0
        return self.seconds + overhead

    @property
    def total_seconds(self):
        """About how long all cells take that run the load once."""
        return sum(self.cell_seconds(cell.scenario) for cell in self.cells())

    def within(self, limit_seconds):
        """The same with as many blocks as there is time for, BLOCKS_MIN at
        least."""
        first, both = (
            dataclasses.replace(self, blocks=count).total_seconds
            for count in (1, 2)
        )
        more = int((limit_seconds - first) / (both - first))
        return dataclasses.replace(self, blocks=max(1 + more, BLOCKS_MIN))

    def to_json(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields):
        """Raises TypeError for fields that are not a plan's. One that does not
        say how often visited everybody there and back."""
        for name in ("blocks", "seconds", "seed"):
            if not isinstance(fields.get(name), int | float):
                raise TypeError(f"{name} is not a number")
        names = "names", "scenarios", "hosts", "once"
        lists = {n: tuple(fields[n]) for n in names if n in fields}
        return cls(**{"visits": VISITS, **fields, **lists})


def spell_seconds(seconds):
    """3:05, or 1:03:05 from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
