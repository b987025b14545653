"""What bench/compare measures by itself: --quick, --full, --sweep and --all.

How many blocks there are follows from the minutes. CPU time and latency are
compared with one connection, and at rates that all contestants keep; S2 without
a rate shows capacity alone.
"""

import dataclasses
import math

import scenarios
from contestants import PEERS, REDIS
from sweep import Pace

SECONDS = 1.0  # of a cell: more cells say more than longer ones
USUAL_RATES = (10_000, 25_000)
# Beside so many idle ones every model has room for the busy ones, select too.
IDLE = 900
START_AND_END_SECONDS = 8  # with the page
FIRST_SECONDS = 2  # for what each contestant is asked first, but for cells
CONTESTANTS = 3  # that `minutes` are for


@dataclasses.dataclass(frozen=True)
class Size:
    scenarios: tuple
    minutes: float = math.inf
    minutes_each: float = 0.0  # more, for each contestant above CONTESTANTS
    once: tuple = ()  # of the scenarios, those in the first block alone
    paces: tuple = ()
    peers: tuple = ()
    all_variants: bool = False
    sweep: tuple = ()  # scenarios that are asked at several rates as well
    blocks: int = 7  # where there are no minutes

    def plan(self, plan, planned):
        """The plan, with as many blocks as there is time for. `planned` is what
        it becomes once its rates are known: that is what takes the time."""
        if self.minutes == math.inf:
            return plan
        more = max(len(plan.names) - CONTESTANTS, 0)
        minutes = self.minutes + more * self.minutes_each
        limit = 60 * minutes - START_AND_END_SECONDS
        limit -= FIRST_SECONDS * len(plan.names)
        blocks = planned.within(limit).blocks
        return dataclasses.replace(plan, blocks=blocks)


CAPACITY = scenarios.CAPACITY
AT_RATES = Pace(CAPACITY, USUAL_RATES)
LOOKUPS = Pace("S8", (2_000,))
# Ten busy connections beside idle ones; the most of them decide on the rate.
SOME_IDLE = Pace(f"S3-{IDLE}", USUAL_RATES[:1])
ALL_IDLE = Pace("S3-10000", USUAL_RATES[:1], ("S3-10", f"S3-{IDLE}"))
SWEEP = "sweep"
SIZES = {
    "quick": Size(
        ("S1", CAPACITY), minutes=3, minutes_each=1.25, once=(CAPACITY,),
        paces=(AT_RATES, SOME_IDLE),
    ),
    SWEEP: Size((CAPACITY,), minutes=9, minutes_each=1.5),
    "full": Size(
        ("S1", CAPACITY, "S4", "S5", "S10"), minutes=24, minutes_each=2,
        paces=(AT_RATES, ALL_IDLE, LOOKUPS), peers=(REDIS,),
        sweep=(CAPACITY,),
    ),
    "all": Size(
        tuple(n for n in scenarios.SCENARIOS if n != scenarios.CLIENTS),
        paces=(AT_RATES, ALL_IDLE, LOOKUPS), peers=tuple(PEERS),
        all_variants=True, sweep=(CAPACITY,),
    ),
}  # fmt: skip
