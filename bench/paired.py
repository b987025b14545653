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
    outside = 0
    for k in range(1, count // 2 + 1):
        # One side: k - 1 of the values lie below the median.
        outside += math.comb(count, k - 1)
        if 1 - 2 * outside / 2**count < confidence:
            return k - 1
    return count // 2


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
