"""What the blocks of a run say of two servers, and how sure that is.

A block has a value of each server, and a comparison the logarithm of their ratio
in each block. Whether its mean is 0 is Student's question: t of seven blocks
reaches any level, where a test by ranks stops at 2/2**7. It assumes that these
logarithms stray normally from block to block, without a memory;
test_verdicts.py holds its level against stored runs of one program with itself.

All verdicts of a table are one family: with 21 servers that are all equal to a
reference, one in twenty would be called different by each test's own 5 %. Holm's
steps (A simple sequentially rejective multiple test procedure, 1979) keep the
chance that any of them is false at 5 %, however they depend on each other.
"""

import dataclasses
import math

import student

ALPHA = 0.05  # that any verdict of a table of equals is false
POWER = 0.9
NORMAL_90 = 1.2816  # of a normal distribution 90 % lie below
BLOCKS_MIN = 3
EQUAL = 1e-12  # a mean of logarithms that is 0 but for rounding

SAME = "no measurable difference"
WITHIN = "within the noise floor"
MORE = "more"
LESS = "less"
TOO_FEW = "too few blocks"
ALIKE = SAME, WITHIN  # nothing sets these apart
BOTH_BOUNDS = "open: both are lower bounds"
ONE_BOUND = "open: a lower bound"
NONE_OF_IT = "none at all"
SOME_OF_IT = "some, not none"
NOT_ALWAYS = "0 in some blocks"
AT_LEAST, AT_MOST = ">=", "<="


@dataclasses.dataclass(frozen=True)
class Reading:
    """A value; where `bound`, it is only known to be at least that."""

    value: float
    bound: bool = False


@dataclasses.dataclass(frozen=True)
class Ratio:
    """The geometric mean of the blocks' ratios. `spread` is the standard
    deviation of their logarithms. Where `side` is not empty the ratio is at
    least, or at most, that. `word` is the verdict where there is nothing to
    test, and `said` takes the number's place. The interval is that of the level
    at which it was tested: it leaves 1 out where that found something."""

    factor: float | None
    count: int
    spread: float | None = None
    side: str = ""
    word: str | None = None
    said: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def log(self):
        return math.log(self.factor)

    @property
    def error(self):
        """Of the mean."""
        return self.spread / math.sqrt(self.count)

    @property
    def p(self):
        """How often equals would be found as far apart as that, or further; 1
        where the only direction that the bound allows was not found."""
        if abs(self.log) < EQUAL or self.is_against_its_bound:
            return 1.0
        if self.spread == 0:
            return 0.0
        return student.outside(self.log / self.error, self.count - 1)

    @property
    def is_against_its_bound(self):
        """At least 0.9 times as much may be more as well as less."""
        return self.side == (AT_LEAST if self.factor < 1 else AT_MOST)

    def at(self, level):
        """With its interval."""
        half = student.critical(level, self.count - 1) * self.error
        low, high = math.exp(self.log - half), math.exp(self.log + half)
        return dataclasses.replace(
            self,
            low=None if self.side == AT_MOST else low,
            high=None if self.side == AT_LEAST else high,
        )

    def inverse(self):
        sides = {AT_LEAST: AT_MOST, AT_MOST: AT_LEAST}
        words = {NONE_OF_IT: SOME_OF_IT, SOME_OF_IT: NONE_OF_IT}
        return dataclasses.replace(
            self,
            factor=self.factor and 1 / self.factor,
            side=sides.get(self.side, ""),
            word=words.get(self.word, self.word),
            said=" against ".join(reversed(self.said.split(" against "))),
            low=self.high and 1 / self.high,
            high=self.low and 1 / self.low,
        )


def mean_of(readings):
    """The geometric mean, at least that if one of them is a bound; 0 if one of
    them is 0."""
    values = [one.value for one in readings]
    bound = any(one.bound for one in readings)
    if min(values) <= 0:
        return Reading(0.0, bound)
    return Reading(math.exp(mean(map(math.log, values))), bound)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def compare(mine, other):
    """The Ratio of two {block: Reading}; None where they share no block.

    A value that is only known to be at least so much goes into the test as that
    much: the ratio that it makes is never on the wrong side of the true one, so
    whatever is found of it holds of the true one all the more. What is a bound
    above in one block and below in another, or both in one, says nothing."""
    both = sorted(mine.keys() & other.keys())
    pairs = [(mine[block], other[block]) for block in both]
    if not pairs:
        return None
    if any(x.value <= 0 or y.value <= 0 for x, y in pairs):
        return with_zeros(pairs)
    above = any(x.bound for x, _ in pairs)
    below = any(y.bound for _, y in pairs)
    if above and below:
        return Ratio(None, len(pairs), word=BOTH_BOUNDS, said="-")
    logs = [math.log(x.value / y.value) for x, y in pairs]
    side = AT_LEAST if above else AT_MOST if below else ""
    few = TOO_FEW if len(pairs) < BLOCKS_MIN else None
    return Ratio(
        math.exp(mean(logs)), len(pairs), deviation(logs), side, few
    )  # fmt: skip


def deviation(values):
    """Of a sample; None of one value."""
    if len(values) < 2:
        return None
    middle = mean(values)
    squares = sum((x - middle) ** 2 for x in values)
    return math.sqrt(squares / (len(values) - 1))


def with_zeros(pairs):
    """0 has no logarithm: it is told as what it is, a count of nothing."""
    mine, other = ([one.value for one in side] for side in zip(*pairs))
    if not any(mine) and not any(other):
        word = SAME
    elif not any(mine) and all(other):
        word = NONE_OF_IT
    elif all(mine) and not any(other):
        word = SOME_OF_IT
    else:
        word = NOT_ALWAYS
    said = f"{mean(mine):.3g} against {mean(other):.3g}"
    return Ratio(None, len(pairs), word=word, said=said)


# ---- The noise floor ---------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Floor:
    """Where 95 of 100 ratios of the reference to itself lie: as logarithms the
    middle one, and how far from it they reach. `count` comparisons of a block
    say so."""

    middle: float
    half: float
    count: int

    @property
    def low(self):
        return math.exp(self.middle - self.half)

    @property
    def high(self):
        return math.exp(self.middle + self.half)

    @property
    def log(self):
        """The furthest, upwards or downwards: which of the two is called the
        twin is chance."""
        return abs(self.middle) + self.half


def floor_of(scenarios):
    """The Floor for ratios of as many blocks as a scenario has; None of too
    few. `scenarios` are lists of the logarithms of twin to reference, one a
    block.

    The test asks what strays from block to block. What it cannot see is what
    stays for a run, and there the same program beside itself is the only
    witness: so beyond a verdict's own level its ratio must lie where the
    reference's to itself does not. That only takes verdicts away."""
    logs = [x for one in scenarios for x in one]
    if len(logs) < BLOCKS_MIN:
        return None
    blocks = len(logs) / len([one for one in scenarios if one])
    reach = student.critical(ALPHA, len(logs) - 1)
    half = reach * deviation(logs) / math.sqrt(blocks)
    return Floor(mean(logs), half, len(logs))


# ---- A table -----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A Ratio with its interval, and what it is called."""

    ratio: Ratio
    word: str


def judge(ratios, floors=None):
    """{key: Verdict} of a table's {key: Ratio}, by Holm's steps; `floors` are
    {key: Floor or None}."""
    floors = floors or {}
    found = {
        key: Verdict(with_interval(ratio, ALPHA), ratio.word)
        for key, ratio in ratios.items()
        if ratio.word is not None
    }
    tested = sorted(ratios.keys() - found.keys(), key=lambda k: ratios[k].p)
    differs = True
    for step, key in enumerate(tested):
        if differs:
            level = ALPHA / (len(tested) - step)
            differs = ratios[key].p <= level
        word = word_of(ratios[key], differs, floors.get(key))
        found[key] = Verdict(with_interval(ratios[key], level), word)
    return found


def with_interval(ratio, level):
    testable = ratio.spread is not None and ratio.word != TOO_FEW
    return ratio.at(level) if testable else ratio


def word_of(ratio, differs, floor):
    beyond = floor is None or abs(ratio.log) > floor.log
    if not differs:
        return ONE_BOUND if ratio.side else SAME
    if not beyond:
        return WITHIN
    return MORE if ratio.factor > 1 else LESS


def smallest_difference(ratios, verdict_count, floor=None):
    """The factor that a table like this finds nine times of ten, where one
    server differs by that and all others are equal: among as many verdicts, by
    as many blocks, which stray as these ratios do. None where none of them was
    tested."""
    known = [one for one in ratios if one.word is None and not one.side]
    if not known:
        return None
    degrees = sum(one.count - 1 for one in known)
    squares = sum((one.count - 1) * one.spread**2 for one in known)
    blocks = min(one.count for one in known)
    error = math.sqrt(squares / degrees / blocks)
    limit = student.critical(ALPHA / verdict_count, blocks - 1)
    noncentrality = student.found_at(limit, blocks - 1, POWER)
    beyond = 0.0 if floor is None else floor.log + NORMAL_90 * error
    return math.exp(max(noncentrality * error, beyond))
