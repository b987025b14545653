"""Axes: where a number stands, which ones are written beside, and how."""

import math

TICKS_MAX = 8
THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
SUFFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
MARGIN = 1.12
WIDE_RANGE = 50  # the greatest over the least, from which on it is logarithmic


def digits(value):
    """Three digits, or all of a whole number; for very small ones fewer."""
    if value is None:
        return "\N{EN DASH}"
    if abs(value) >= 99.95:
        return f"{value:,.0f}".replace(",", THIN_SPACE)
    places = 2 if abs(value) < 9.995 else 1
    if 0 < abs(value) < 0.0995:
        places = 4 if abs(value) < 0.00995 else 3
    return f"{value:.{places}f}"


def brief(value):
    """For an axis: 0.5, 20, 500, 10k, 3M."""
    for unit, suffix in SUFFIXES:
        if abs(value) >= max(unit, 1e4):
            return f"{value / unit:g}{suffix}"
    return f"{value:,g}".replace(",", THIN_SPACE)


class Linear:
    """From 0 to a round number."""

    def __init__(self, values, start=0.0):
        self.low = start
        greatest = max(values, default=1.0) or 1.0
        step = round_step((greatest - start) / 5)
        self.high = start + step * math.ceil((greatest - start) / step)
        count = round((self.high - start) / step)
        self.ticks = [(start + step * k) for k in range(count + 1)]

    def place(self, value):
        """Between 0 and 1."""
        return (value - self.low) / (self.high - self.low)


class Logarithmic:
    """A little beyond the numbers, with 1, 2 and 5 of each decade as ticks, or
    fewer; where these are too few, from one round number to another."""

    def __init__(self, values):
        known = [v for v in values if v > 0] or [1.0]
        for steps in ((1, 2, 5), (1, 3), (1,), (1e-2,)):
            around = covering(min(known), max(known), steps)
            if len(around) <= TICKS_MAX:
                break
        self.low, self.high = min(known) / MARGIN, max(known) * MARGIN
        self.ticks = [t for t in around if self.low <= t <= self.high]
        if len(self.ticks) < 2:
            self.ticks = around
            self.low, self.high = around[0], around[-1]

    def place(self, value):
        value = max(value, self.low)
        return math.log(value / self.low) / math.log(self.high / self.low)


class Tail:
    """Percentiles, by how few requests lie beyond: 90, 99, 99.9 ... are
    equally far apart."""

    def __init__(self, percentiles):
        self._last = log_tail(max(percentiles, default=90))

    def place(self, value):
        return log_tail(value) / self._last if self._last else 0.0


def log_tail(percentile):
    """90 at 1, 99 at 2, 99.9 at 3."""
    return -math.log10(1 - percentile / 100)


def covering(least, greatest, steps):
    """Round numbers, the first at most `least`, the last at least `greatest`,
    two or more."""
    decade = math.floor(math.log10(least) + 1e-9)
    found = []
    while True:
        for step in steps:
            value = step * 10.0**decade
            if value <= least:
                found = [value]
            elif found:
                found.append(value)
            if found and len(found) > 1 and value >= greatest:
                return found
        decade += 1


def round_step(step):
    """1, 2, 2.5 or 5 times a power of ten, at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(k * power for k in (1, 2, 2.5, 5, 10) if k * power >= step)


def scale_of(values, wanted):
    """Logarithmic where that is wanted and the numbers are far apart."""
    known = [v for v in values if v is not None]
    least = min((v for v in known if v > 0), default=1)
    if wanted == "log" and max(known, default=1) / least > 2:
        return Logarithmic(known)
    # 0 has no place on a logarithmic axis of dots, and must be seen.
    far = max(known, default=1) / least > WIDE_RANGE
    if wanted == "dots" and far and min(known) > 0:
        return Logarithmic(known)
    return Linear(known)
