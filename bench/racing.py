"""Servers one after the other under the same load, shown as they run.

Two at once would race the scheduler for the processors, so each has its turns
alone: a short one in each round, whose order is shuffled anew, with a fresh
process. All is over in 20 seconds, which many contestants share. The first
takes part twice: what sets it apart from itself is noise.

Ranked at the end by requests per second, over the turns that the load calls
VALID; where the load was what limited, a rate is a lower bound. Rates repeat
badly; the CPU time and the system calls of a request, beside them, repeat well.
"""

import argparse
import contextlib
import dataclasses
import pathlib
import signal
import subprocess
import sys
import time

import children
import contestants
import journal
import lanes
import load_run
import measure
import ranking
import scenarios
from comparison import (
    REFERENCE,
    allow_descriptors,
    any_seed,
    default_models,
    identity,
    is_last,
    positive,
    variant,
)
from contestants import PEERS, Failed, Skipped
from plan import Plan
from progress import describe_result
from results import CPU, RATE, Results, fault
from table import number, printable

WRONG_ARGUMENTS, SIGNALLED = 2, 128
SECONDS = 18.5  # of all turns; start and end of it all are the rest of 20
BLOCKS_MIN, BLOCKS_MAX = 6, 10
WARM_UP_SECONDS = 0.05
OVERHEAD_SECONDS = 0.25  # of a turn, until some have shown what it is
GOOD_TURN_SECONDS, TURN_SECONDS_MIN = 0.3, 0.05
TICK_SECONDS = 0.25  # between two looks, or an eighth of a short turn
HANGS_SECONDS = 3.0  # more than a turn takes
# With one connection neither server nor load ever fill a processor; with many
# the load often does first, and its turns are INVALID.
SCENARIO = "S1"
RULE = "One at a time: two at once would race the scheduler."


# ---- How long a turn is ------------------------------------------------------


def blocks_for(contestant_count, seconds=SECONDS):
    """As many as leave turns that are long enough."""
    turns = seconds / (GOOD_TURN_SECONDS + OVERHEAD_SECONDS)
    blocks = int(turns / contestant_count)
    return min(max(blocks, BLOCKS_MIN), BLOCKS_MAX)


def measured_seconds(left, turns, overhead):
    """Of each of so many turns in the time that is left."""
    return max(left / turns - overhead, TURN_SECONDS_MIN)


class Watch:
    """What the race has of its time: each block's turns are as long as the time
    allows that is left, by what a turn has taken so far."""

    def __init__(self, turns, seconds, clock=time.monotonic):
        self._clock = clock
        self._end = clock() + seconds
        self._turns = turns
        self._had, self._over = 0, 0.0
        self.measured = 0.0

    def left(self):
        return max(self._end - self._clock(), 0.0)

    def begin_block(self):
        if not self._turns:
            return
        overhead = self._over / self._had if self._had else OVERHEAD_SECONDS
        self.measured = measured_seconds(self.left(), self._turns, overhead)

    def begin_turn(self):
        """Whether there is time for one."""
        self._began = self._clock()
        return self.left() > self.measured

    def end_turn(self, ran):
        """`ran`: whether it took its time, which says what others will take."""
        self._turns -= 1
        if ran:
            self._over += self._clock() - self._began - self.measured
            self._had += 1

    def drop(self, turns):
        """Turns that are not had after all."""
        self._turns -= turns


# ---- A turn ------------------------------------------------------------------


class Spectator:
    """A measure.Watcher: what it finds is what bench/compare finds. Besides it
    tells `progress` how many requests the server has answered since the
    measuring began, and in what time. What it asks with takes a processor from
    the load: it asks for little."""

    def __init__(self, served, seconds, progress):
        self._served, self._progress = served, progress
        self._watcher = measure.Watcher(served, seconds)
        self.tick = min(TICK_SECONDS, seconds / 8)
        self.found = self._watcher.found

    def __call__(self, said):
        self._watcher(said)
        if said is None:
            before = self._watcher.before
            answered = self._commands(self._served.info())
            answered -= self._commands(before["info"])
            passed = time.monotonic() - before["counted_at"]
            self._progress(answered, passed)

    @staticmethod
    def _commands(info):
        return sum(info["commands"].values())

    @property
    def is_done(self):
        return self._watcher.is_done


@dataclasses.dataclass(frozen=True)
class Track(measure.Placement):
    """Where turns are run, and who is told of them."""

    progress: object = None
    warmup_seconds: float = WARM_UP_SECONDS

    def watcher(self, served, seconds, with_memory):
        return Spectator(served, seconds, self.progress)


def run_turn(cell, plan, seconds, setting, progress):
    """The cell's fields. Raises Skipped or Failed."""
    track = Track(setting.where.cpus, progress)
    plan = dataclasses.replace(plan, seconds=seconds)
    return measure.measure(cell, plan, track, setting.load)


@contextlib.contextmanager
def at_most(seconds):
    """Raises Failed within it when so much time is over."""

    def give_up(*_):
        raise Failed(f"it took more than {seconds:.0f} s for a turn")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- The race ----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Setting:
    where: measure.Placement
    load: str


class Race:
    """The plan's turns, one after the other. `lines` are what Results wants."""

    def __init__(self, plan, setting, seconds, shown):
        self.plan, self._setting, self.shown = plan, setting, shown
        self._scenario = scenarios.find(plan.scenarios[0])
        self.lines = [{"kind": journal.PLAN, "plan": plan.to_json()}]
        self._lanes = {c.label: lanes.Lane(c.label) for c in plan.contestants}
        self._cells = plan.cells()
        self._watch = Watch(len(self._cells), seconds)
        self._turn = 0
        self._had = self._planned = 0.0  # measured seconds of a contestant

    def run(self):
        """Raises children.Interrupted; what was measured is there then."""
        for block in range(self.plan.blocks):
            self._watch.begin_block()
            each = self._watch.measured
            self._planned = self._had + each * (self.plan.blocks - block)
            for cell in [c for c in self._cells if c.block == block]:
                if cell in self._cells and not self._take_turn(cell):
                    return
            self._had += each

    def _take_turn(self, cell):
        """Whether there was time for it."""
        if not self._watch.begin_turn():
            return False
        self._turn += 1
        label = cell.contestant.label
        self._show(label)
        fields = self._measured(cell)
        self._watch.end_turn(ran="verdict" in fields)
        self.lines.append({"kind": journal.CELL, **identity(cell), **fields})
        self._note(label, fields)
        if is_last(fields):
            self._leave_out(cell)
        self.shown.say(
            f"turn {self._turn} of {self._turns()}: {label} {told(fields)}"
        )
        return True

    def _turns(self):
        return len(self._cells)

    def _measured(self, cell):
        seconds = self._watch.measured
        label = cell.contestant.label

        def progress(answered, passed):
            self._show(label, answered, passed)

        try:
            with at_most(seconds + HANGS_SECONDS):
                return run_turn(
                    cell, self.plan, seconds, self._setting, progress
                )
        except Skipped as reason:
            return {"skipped": printable(str(reason))}
        except (Failed, OSError, subprocess.SubprocessError) as error:
            return {"failed": printable(str(error))}

    def _leave_out(self, cell):
        """Who cannot, or did wrong, has no further turn; others share them."""
        label = cell.contestant.label
        at = self._cells.index(cell)
        dropped = [c for c in self._cells[at + 1 :]
                   if c.contestant.label == label]  # fmt: skip
        self._watch.drop(len(dropped))
        self._cells = [c for c in self._cells if c not in dropped]

    def _note(self, label, fields):
        """What the lane knows after a turn."""
        lane = self._lanes[label]
        if "skipped" in fields:
            self._lanes[label] = dataclasses.replace(
                lane, note=f"skipped: {fields['skipped']}"
            )
            return
        results, name = Results(self.lines), self._scenario.name
        self._lanes[label] = dataclasses.replace(
            lane,
            answered=lane.answered + fields.get("requests", 0),
            rate=results.median(name, label, RATE)[0],
            cpu=results.median(name, label, CPU)[0],
            calls=ranking.calls_of(results.cells(name, label)),
            marks=lane.marks + mark(fields),
            note=f"{fault(fields)}" if fault(fields) else "",
        )

    def _show(self, running, answered=0, passed=0.0):
        """`answered` in the turn that runs, in so many seconds."""
        now = dict(self._lanes)
        lane = now[running]
        rate = answered / passed if answered and passed else lane.rate
        now[running] = dataclasses.replace(
            lane, answered=lane.answered + answered, rate=rate, running=True
        )
        fastest = max(one.rate or 0 for one in now.values())
        self.shown.show(
            lanes.View(
                title=title(self._scenario),
                rule=RULE,
                lanes=tuple(now.values()),
                turn=self._turn,
                turns=self._turns(),
                seconds_left=self._watch.left(),
                full=fastest * self._planned,
            )
        )


def mark(fields):
    if fault(fields):
        return lanes.FAULT_MARK
    valid = fields["verdict"] == "VALID"
    return lanes.VALID_MARK if valid else lanes.INVALID_MARK


def told(fields):
    """A turn in a line."""
    said = describe_result(fields)
    if fields.get("server_cpu_us") is not None:
        said += f"; CPU {number(fields['server_cpu_us'])} us"
    if calls := fields.get("calls_per_request"):
        said += f", {number(sum(calls.values()))} calls"
    return said


def title(scenario):
    return f"{scenario.name}: {scenario.title}"


# ---- What is asked for -------------------------------------------------------


def make_parser():
    parser = argparse.ArgumentParser(
        prog="bench/race",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a model, model-variant, path of a server, or one of\n"
        f"{', '.join(PEERS)}\n(default: every model's default variant)",
    )
    parser.add_argument(
        "--scenario",
        default=SCENARIO,
        metavar="S",
        help=f"of bench/compare, ranked by rate (default: {SCENARIO})",
    )
    parser.add_argument(
        "--seconds",
        type=positive(float),
        default=SECONDS,
        metavar="S",
        help=f"all turns together (default: {SECONDS})",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of the order (default: another each time)",
    )
    parser.add_argument(
        "--client",
        metavar="NAME",
        help="the load's client, such as epoll-level, or a load's path",
    )
    return parser


def contestant(word):
    """What a word of the command line calls."""
    if word in PEERS:
        return word
    return str(pathlib.Path(word).resolve()) if "/" in word else variant(word)


def make_plan(options):
    """Raises ValueError with what is wrong with the options."""
    everybody = [contestant(word) for word in options.names]
    names = tuple(dict.fromkeys(everybody)) or tuple(default_models(False))
    if not names:
        raise ValueError(f"no server in {contestants.BIN} (make)")
    chosen = scenarios.named([options.scenario])
    found = scenarios.find(chosen[0])
    if len(chosen) > 1 or found.metric != scenarios.RATE or found.ring:
        raise ValueError(f"{options.scenario} is no race")
    return Plan(
        names=tuple(sorted(names, key=lambda name: name != REFERENCE)),
        scenarios=(found.name,),
        blocks=blocks_for(len(names) + 1, options.seconds),
        seconds=0.0,  # Watch says it, block by block
        seed=any_seed() if options.seed is None else options.seed,
        client=options.client,
    )


# ---- The end -----------------------------------------------------------------


def report(race, out):
    """Prints who won; whether every server did what it should."""
    results = Results(race.lines)
    turns = len(journal.cells(race.lines))
    columns, _ = lanes.size_of(out)
    print(
        f"\n{title(scenarios.find(race.plan.scenarios[0]))}; {turns} turns, "
        f"seed {race.plan.seed}",
        *ranking.render(
            ranking.Ranking(results), columns, lanes.style_of(out)
        ),
        sep="\n",
        file=out,
        flush=True,
    )
    return not results.faults()


def race(plan, setting, seconds, out):
    """The exit code."""
    code = 0
    with children.supervised():
        it = Race(plan, setting, seconds, lanes.shown_on(out))
        try:
            with it.shown:
                it.run()
        except children.Interrupted as interruption:
            code = SIGNALLED + interruption.number
            print(f"{interruption}: ranked is what was measured", file=out)
        try:
            right = report(it, out)
        except children.Interrupted as interruption:
            return SIGNALLED + interruption.number
    return code or (0 if right else 1)


def main(arguments):
    options = make_parser().parse_args(arguments)
    try:
        plan = make_plan(options)
        setting = Setting(
            measure.placement(pinned=True, load_threads=1),
            load_run.program(plan.client),
        )
        allow_descriptors()
        setting.where.step_aside()
        return race(plan, setting, options.seconds, sys.stdout)
    except (ValueError, OSError, Failed) as error:
        print(f"bench/race: {error}", file=sys.stderr)
        return WRONG_ARGUMENTS
