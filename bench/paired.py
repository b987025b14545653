"""Paired ratios and what may be concluded from them.

Nothing here assumes a distribution. A round is made of slices, in each of
which every contestant is measured once, within about a second: the ratio of two
neighbours is free of most of what the machine did meanwhile. The median of the
slices' ratios is the round's ratio, so that a burst of foreign work spoils a
slice and not the round; the median of the rounds' ratios is the estimate. Its
interval is made of two of the rounds' ratios, the k-th smallest and the k-th
largest: the true median lies outside them only if a fair coin falls fewer than
k times on one side (order statistics; e.g. Conover, Practical Nonparametric
Statistics, section 3.2). Rounds, each with processes of its own, are what is
counted, not slices: what one process has by luck (where its memory lies, say)
is shared by all its slices.
"""

import dataclasses
import math

CONFIDENCE = 0.95
NOISE_MAX = 0.05

HOLDS = "holds"
FAILS = "FAILS"
OPEN = "open"
INCONCLUSIVE = "INCONCLUSIVE"

SAME = "no measurable difference"
MORE = "more"
LESS = "less"
TOO_FEW = "too few blocks"
NO_FLOOR = "no noise floor"


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A median and its interval; without an interval, too few were measured."""

    median: float
    low: float | None
    high: float | None
    count: int

    def __str__(self):
        if self.low is None:
            return f"{self.median:.3f} [too few]"
        return f"{self.median:.3f} [{self.low:.3f} {self.high:.3f}]"


def median(values):
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def rank(count, confidence=CONFIDENCE):
    """The largest k whose interval from the k-th smallest to the k-th largest
    of `count` values holds the median with the confidence; 0 if none does."""
    # One side: k - 1 of the values lie below the median.
    coins = [math.comb(count, heads) for heads in range(count // 2)]
    return largest_rank(coins, count, confidence)


def largest_rank(ways, count, confidence):
    """The largest k for which 2 * sum(ways[:k]) of the 2**count equally likely
    cases are few enough for the confidence; 0 if k = 1 is too many."""
    outside = 0
    for k, number in enumerate(ways, start=1):
        outside += number
        if 1 - 2 * outside / 2**count < confidence:
            return k - 1
    return len(ways)


def estimate(values, confidence=CONFIDENCE):
    ordered = sorted(values)
    k = rank(len(ordered), confidence)
    if k == 0:
        return Estimate(median(ordered), None, None, len(ordered))
    return Estimate(median(ordered), ordered[k - 1], ordered[-k], len(ordered))


def ratios(numerators, denominators):
    """One ratio for each round in which both were measured. Both are
    {round: values of its slices}, slice by slice in the same order."""
    both = sorted(numerators.keys() & denominators.keys())
    return [slice_ratio(numerators[r], denominators[r]) for r in both]


def slice_ratio(numerators, denominators):
    pairs = zip(numerators, denominators, strict=True)
    return median([n / d for n, d in pairs])


def signed_rank_ways(count):
    """In how many of the 2**count ways to give the ranks 1 to `count` a sign
    the positive ones have the sum 0, 1, 2, ..."""
    ways = [1]
    for rank_number in range(1, count + 1):
        longer = ways + [0] * rank_number
        for total, number in enumerate(ways):
            longer[total + rank_number] += number
        ways = longer
    return ways


def shift(values, confidence=CONFIDENCE):
    """By what factor the ratios differ from 1 (Hodges and Lehmann).

    The median of the geometric means of all pairs, a value with itself
    included, and as interval the k-th smallest and k-th largest of those means,
    with k from Wilcoxon's signed ranks (Hollander, Wolfe and Chicken,
    Nonparametric Statistical Methods, sections 3.2 and 3.3). It needs fewer
    values than `estimate` for the same certainty, since it asks how far each
    one lies from 1 and not only on which side. What it assumes: that a ratio's
    logarithm strays as often upwards as downwards, which is exactly so for a
    program against itself."""
    logs = [math.log(value) for value in values]
    means = sorted(
        (one + other) / 2
        for number, one in enumerate(logs)
        for other in logs[number:]
    )
    middle = math.exp(median(means))
    half = signed_rank_ways(len(logs))[: len(means) // 2]
    k = largest_rank(half, len(logs), confidence)
    if k == 0:
        return Estimate(middle, None, None, len(logs))
    low, high = math.exp(means[k - 1]), math.exp(means[-k])
    return Estimate(middle, low, high, len(logs))


def noise_floor(twin):
    """The factor below which nothing is ranked: how far the same program
    strayed from itself. None if that was not measured often enough."""
    if twin is None or twin.low is None:
        return None
    return max(twin.median, 1 / twin.median)


def differ(ratio, floor):
    """SAME, MORE or LESS than the reference, or why that cannot be told."""
    if ratio.low is None:
        return TOO_FEW
    if floor is None:
        return NO_FLOOR
    if ratio.low <= 1 <= ratio.high or 1 / floor <= ratio.median <= floor:
        return SAME
    return MORE if ratio.median > 1 else LESS


def is_quiet(noise):
    """Whether the same program against itself says that a few per cent can be
    seen: its interval is at most 5 % wide and stays within 5 % of 1."""
    if noise.low is None:
        return False
    wide = noise.high - noise.low > NOISE_MAX
    biased = noise.low < 1 - NOISE_MAX or noise.high > 1 + NOISE_MAX
    return not wide and not biased


def judge(ratio, limit, noise):
    """A demand `ratio <= limit` fails only if its whole interval is beyond."""
    if ratio.low is None or not is_quiet(noise):
        return INCONCLUSIVE
    if ratio.low > limit:
        return FAILS
    if ratio.high <= limit:
        return HOLDS
    return OPEN
