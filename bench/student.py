"""Student's distribution of t, which a mean of few values has.

The sums are those of Abramowitz and Stegun, Handbook of Mathematical Functions,
26.7.3 and 26.7.4: exact for whole degrees of freedom, and no others occur.
"""

import functools
import math

HALVINGS = 60  # of an interval, to all digits of a float
STEPS = 200  # of the integral over the spread; three digits need fewer


def within(t, degrees):
    """The probability that |T| is at most `t`."""
    angle = math.atan2(t, math.sqrt(degrees))
    squared = math.cos(angle) ** 2
    odd = degrees % 2
    term = total = math.cos(angle) if odd else 1.0
    for k in range(2 + odd, degrees, 2):
        term *= squared * (k - 1) / k
        total += term
    if not odd:
        return math.sin(angle) * total
    return (angle + math.sin(angle) * total * (degrees > 1)) * 2 / math.pi


def outside(t, degrees):
    """The two-sided p-value: how often |T| is greater than |t|."""
    return 1 - within(abs(t), degrees)


@functools.cache
def critical(level, degrees):
    """What |T| exceeds with the probability `level`."""
    high = 1.0
    while outside(high, degrees) > level:
        high *= 2
    return root(lambda t: outside(t, degrees) > level, high)


def root(is_below, high):
    """Between 0 and `high`, by halving."""
    low = 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if is_below(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def exceeds(limit, degrees, noncentrality):
    """How often a noncentral T is greater than `limit`: it is (Z + noncentrality)
    / W, where Z is normal, and W, the spread that is found divided by the true
    one, has the density of a chi; summed over W (Johnson, Kotz and Balakrishnan,
    Continuous Univariate Distributions, volume 2, section 31.2)."""
    half = degrees / 2
    scale = math.log(2) + half * math.log(half) - math.lgamma(half)
    step = (1 + 8 / math.sqrt(2 * degrees)) / STEPS
    total = 0.0
    for k in range(1, STEPS + 1):
        w = k * step
        log_density = scale + (degrees - 1) * math.log(w) - half * w * w
        beyond = math.erfc((limit * w - noncentrality) / math.sqrt(2)) / 2
        total += math.exp(log_density) * beyond
    return total * step


@functools.cache
def found_at(limit, degrees, power):
    """The noncentrality at which T exceeds `limit` with that probability."""
    high = 2 * limit + 8 + 40 / degrees
    return root(lambda nc: exceeds(limit, degrees, nc) < power, high)
