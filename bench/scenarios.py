"""What the servers are asked to do: S1 to S11, as arguments of the load.

Where all connections are always busy, models differ little. So each of these
shows something else: how long one request takes, what an idle connection
costs, what happens beside a peer that floods or does not read.
"""

import dataclasses
import functools

RING_SERVERS = 8
IDLE_CONNECTIONS = 50  # of S10
SPARE_DESCRIPTORS = 64  # of a server or a load, for what is no peer

RATE, TAIL, REST = "rate", "p99", "rest"
AT = "@"  # between a scenario and the rate at which it is asked
CAPACITY = "S2"  # where a server is asked for all that it can do
CLIENTS = "S11"  # where the loads are compared
# Caches and buffers are warm after some thousand requests; whether what was
# measured then still has a trend, the load tells. While it warms up, those who
# are idle are there already, and the server's memory is read: that of one with
# ten thousand threads takes half a second.
WARMUP_SECONDS, WARMUP_SECONDS_EACH_IDLE = 0.2, 1 / 20_000


@dataclasses.dataclass(frozen=True)
class Scenario:
    """`depth` is how many requests each connection has outstanding, which has
    no meaning where requests come by a schedule (--rate, --saturate); None for
    one at a time. `metric` is what contestants are ranked by. `more` are
    further arguments of the load; `rate` is that of its schedule, None for a
    closed loop, which the plan may still turn into a schedule."""

    name: str
    title: str
    connections: int
    depth: int | None = None
    idle: int = 0
    more: tuple = ()
    metric: str = RATE
    command: str = "ECHO {32}"
    ring: bool = False
    rate: float | None = None

    @property
    def takes_rate(self):
        """Whether it makes sense with a schedule of sends."""
        closed = self.depth is None and self.rate is None
        return closed and self.metric != REST and not self.churns

    @property
    def churns(self):
        return "--churn" in self.more

    @property
    def has_null(self):
        """Whether an echo that knows no protocol can be asked so."""
        return not self.ring and self.metric != REST

    def doubled(self):
        """The same of twice as many connections."""
        twice = 2 * self.connections
        return dataclasses.replace(self, connections=twice)

    @property
    def peers(self):
        """How many connections it opens at once."""
        words = dict(zip(self.more[::2], self.more[1::2]))
        others = int(words.get("--slow", 0)) + ("--flooder" in words)
        return self.connections + self.idle + others

    def arguments(self, seconds, seed, rate=None, warmup=None):
        """The load's arguments but for where the server is."""
        rate = self.rate if rate is None else rate
        closed = rate is None
        pace = ["--depth", self.depth or 1] if closed else ["--rate", rate]
        idle = ["--idle", self.idle] if self.idle else []
        if warmup is None:
            warmup = WARMUP_SECONDS + self.idle * WARMUP_SECONDS_EACH_IDLE
        words = [
            "--connections", self.connections, *pace, *idle, *self.more,
            "--command", self.command, "--duration", seconds, "--seed", seed,
            "--warmup", warmup,
        ]  # fmt: skip
        return [str(word) for word in words]


def idle_beside_active(idle):
    return Scenario(
        f"S3-{idle}", f"10 connections busy, {idle} idle", 10, idle=idle
    )


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("S1", "1 connection, which waits for each answer", 1),
        Scenario("S2", "64 connections, which wait for each answer", 64),
        idle_beside_active(10),
        idle_beside_active(1_000),
        idle_beside_active(10_000),
        Scenario(
            "S4", "50 connections, a new one for each request", 50,
            more=("--churn", "1"),
        ),
        Scenario("S5", "16 connections, 64 requests in flight on each", 16, 64),
        Scenario(
            "S6", "8 connections, 64 kB there and back, 4 in flight", 8, 4,
            command="ECHO {65536}",
        ),
        Scenario(
            "S7", "50 connections beside 50 that read slowly", 50,
            more=("--slow", "50"),
        ),
        Scenario(
            "S8", f"16 connections, lookups in a ring of {RING_SERVERS}", 16,
            command="DHT.LOOKUP {key}", ring=True,
        ),
        Scenario(
            "S9", "99 polite connections beside one that floods", 99,
            more=("--flooder", "1000"), metric=TAIL,
        ),
        Scenario(
            "S10", f"{IDLE_CONNECTIONS} connections, all idle",
            IDLE_CONNECTIONS, metric=REST,
        ),
        Scenario(
            CLIENTS, "64 connections, one server, asked by every model's load",
            64,
        ),
    )
}  # fmt: skip


@functools.cache
def find(name):
    """The scenario of that name; S3-n for any n, and S2@5000 for S2 with 5000
    requests per second on a schedule. Raises KeyError."""
    closed, at, rate = name.partition(AT)
    if at:
        return on_schedule(find(closed), rate)
    if name not in SCENARIOS and name.removeprefix("S3-").isdigit():
        return idle_beside_active(int(name.removeprefix("S3-")))
    return SCENARIOS[name]


def on_schedule(scenario, rate):
    """The same, but asked at that rate, whatever is answered. Raises KeyError
    where there is no such thing."""
    if not (rate.isdecimal() and float(rate)) or not scenario.takes_rate:
        raise KeyError(scenario.name + AT + rate)
    patient = scenario.title.partition(", which")[0]
    return dataclasses.replace(
        scenario,
        name=scenario.name + AT + rate,
        title=f"{patient}, {rate} requests per second on a schedule",
        metric=TAIL,
        rate=float(rate),
    )


def named(words):
    """The names that a list like ["S2", "S3"] stands for; S3 for all its
    sizes. Raises ValueError, with what there is, for a name that is none."""
    chosen = []
    for word in words:
        sizes = [n for n in SCENARIOS if n.startswith(word + "-")] or [word]
        try:
            chosen += [find(n).name for n in sizes if n not in chosen]
        except KeyError:
            there = ", ".join(SCENARIOS)
            raise ValueError(f"no scenario {word}; there are {there}") from None
    return chosen


def within(name, descriptors):
    """The name, or that of the same with fewer idle connections, as many as a
    process with so many descriptors can have."""
    scenario = find(name)
    too_many = scenario.peers + SPARE_DESCRIPTORS - descriptors
    if too_many <= 0 or scenario.idle < too_many:
        return name
    _, at, rate = name.partition(AT)
    return f"S3-{scenario.idle - too_many}{at}{rate}"
