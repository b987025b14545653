"""The highest rate that a server stands, by offering one after the other."""

import dataclasses

SAMPLES_MIN = 2_000  # of a try: without 1 000 answers there is no p99
FACTOR = 2.0
PRECISION = 1.03  # of the answer
RATE_MAX = 10_000_000.0
ACHIEVED_MIN = 0.99
LOADS = 13  # about how many rates a search tries


def stands(result, bound_us):
    """Whether the server gave what was asked of it, rightly and in time. What
    was asked is counted: random arrivals are never quite as many as planned."""
    p99 = result["latency_us"]["p99"]
    asked = result["requests"] + result["unanswered"]
    return (
        result["verdict"] == "VALID"
        and result["errors"] == 0
        and result["requests"] >= ACHIEVED_MIN * asked
        and p99 is not None
        and p99 <= bound_us
    )


@dataclasses.dataclass(frozen=True)
class Found:
    """`rate` is the highest that stood, or the lowest that was tried if none
    did; `tries` the whole way there."""

    rate: float
    tries: list

    def judge(self, result, bound_us):
        """What to add to the result of another run at that rate: the tries,
        and INVALID where the rate is not the server's highest."""
        fields = {"tries": self.tries}
        if reason := self._doubt(result, bound_us):
            fields |= {"verdict": "INVALID", "reason": reason}
        return fields

    def _doubt(self, result, bound_us):
        failed = [t for t in self.tries if not t["stood"]]
        lowest = min(failed, key=lambda t: t["offered"], default=None)
        if lowest is None:
            return f"{self.rate:.0f} a second stand, and more is not tried"
        if lowest["reason"] and not lowest["errors"]:
            return f"the load gave out first: {lowest['reason']}"
        if len(failed) == len(self.tries):
            return f"not even {self.rate:.0f} a second stand"
        if result["verdict"] == "VALID" and not stands(result, bound_us):
            return "what stood once did not stand again"
        return ""


def search(run, seconds, bound_us):
    """The highest rate at which it stands: doubled until it does not, then
    bisected (by geometric means, since what counts is the ratio). `run(rate)`
    offers a rate for so many seconds and returns the load's result."""
    tries = []

    def stood(rate):
        result = run(rate)
        if result["verdict"] != "VALID" and not result["errors"]:
            result = run(rate)  # a neighbour's burst does not end the search
        good = stands(result, bound_us)
        kept = {name: result[name] for name in ("rate", "errors", "reason")}
        late = {"p99": result["latency_us"]["p99"]}
        tries.append({"offered": rate, "stood": good, **kept, **late})
        return good

    rate = good = SAMPLES_MIN / seconds
    while rate <= RATE_MAX and stood(rate):
        good, rate = rate, rate * FACTOR
    bad = rate if rate <= RATE_MAX else good
    while bad / good > PRECISION:
        middle = (good * bad) ** 0.5
        if stood(middle):
            good = middle
        else:
            bad = middle
    return Found(good, tries)
