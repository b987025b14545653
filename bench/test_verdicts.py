"""What may be concluded from a table's blocks: with answers known beforehand,
with blocks that are drawn, and with stored runs of one program with itself."""

import math
import pathlib
import random
import sys
import unittest

sys.dont_write_bytecode = True
import journal  # noqa: E402  (after the line that keeps the tree clean)
import readme  # noqa: E402
import results  # noqa: E402
import student  # noqa: E402
import table  # noqa: E402
import verdicts  # noqa: E402
from verdicts import LESS, MORE, SAME, Reading  # noqa: E402

STORED = pathlib.Path(__file__).resolve().parent.parent / "docs/results"
SERVERS, BLOCKS, TABLES = 22, 7, 100
CELL_STRAY, BLOCK_STRAY = 0.1, 0.15


class Student(unittest.TestCase):
    def test_reaches_what_the_tables_of_t_say(self):
        # Two-sided 5 % and 1 %.
        known = {1: (12.706, 63.657), 2: (4.303, 9.925), 6: (2.447, 3.707),
                 7: (2.365, 3.499), 30: (2.042, 2.750)}  # fmt: skip
        for degrees, limits in known.items():
            for level, limit in zip((0.05, 0.01), limits):
                found = student.critical(level, degrees)
                self.assertAlmostEqual(found, limit, places=3)
                there = student.outside(limit, degrees)
                self.assertAlmostEqual(there, level, places=4)

    def test_is_the_same_in_both_directions(self):
        self.assertEqual(student.outside(-2, 6), student.outside(2, 6))

    def test_without_a_difference_the_noncentral_one_is_the_central_one(self):
        for degrees in (2, 6, 30):
            limit = student.critical(0.1, degrees)
            found = student.exceeds(limit, degrees, 0)
            self.assertAlmostEqual(found, 0.05, places=3)

    def test_is_found_as_often_as_it_was_asked_to_be(self):
        limit = student.critical(0.01, 6)
        away = student.found_at(limit, 6, 0.9) / math.sqrt(7)
        draw = random.Random(1).gauss
        found = 0
        for _ in range(2000):
            values = [draw(away, 1) for _ in range(7)]
            error = verdicts.deviation(values) / math.sqrt(7)
            found += verdicts.mean(values) / error > limit
        # 2 000 draws stray by 0.7 points.
        self.assertAlmostEqual(found / 2000, 0.9, delta=0.02)


def exact(*values):
    return dict(enumerate(map(Reading, values)))


def at_least(*values):
    return {block: Reading(x, True) for block, x in enumerate(values)}


def word(mine, other):
    ratio = verdicts.compare(mine, other)
    return verdicts.judge({"it": ratio})["it"].word


HUNDRED = exact(100e3, 101e3, 99e3, 100e3, 98e3, 102e3, 100e3)


class Comparing(unittest.TestCase):
    def test_is_by_the_mean_of_the_logarithms(self):
        # Logarithms of 1, 2 and 4 times: mean 1, deviation 1, of log 2.
        found = verdicts.compare(exact(10, 20, 40), exact(10, 10, 10))
        self.assertAlmostEqual(found.factor, 2)
        self.assertAlmostEqual(found.spread, math.log(2))
        # t = sqrt(3) of 2 degrees: 22.54 % lie outside.
        self.assertAlmostEqual(found.p, 0.2254, places=4)
        half = 4.303 * math.log(2) / math.sqrt(3)
        self.assertAlmostEqual(
            math.log(found.at(0.05).high), math.log(2) + half, places=3
        )

    def test_is_of_the_blocks_that_both_have(self):
        found = verdicts.compare(exact(1, 2, 3), {1: Reading(1), 9: Reading(1)})
        self.assertEqual((found.factor, found.count), (2, 1))
        self.assertIsNone(verdicts.compare(exact(1), {}))

    def test_takes_three_blocks(self):
        self.assertEqual(word(exact(2, 2), exact(1, 1)), verdicts.TOO_FEW)
        self.assertEqual(word(exact(2, 2, 2), exact(1, 1, 1)), MORE)
        self.assertEqual(word(exact(1, 1, 1), exact(1, 1, 1)), SAME)

    def test_the_inverse_is_the_other_way_round(self):
        found = verdicts.compare(exact(4, 5, 6), exact(1, 1, 1)).at(0.05)
        other = verdicts.compare(exact(1, 1, 1), exact(4, 5, 6)).at(0.05)
        turned = found.inverse()
        for name in ("factor", "low", "high"):
            self.assertAlmostEqual(getattr(turned, name), getattr(other, name))


class Bounds(unittest.TestCase):
    """A load that was what limited: the server's rate is at least so much."""

    def test_above_an_exact_rate_decides(self):
        for mine in (at_least(*[150e3] * 7), at_least(*range(150_000, 157_000,
                                                              1000))):
            self.assertEqual(word(mine, HUNDRED), MORE)
            self.assertEqual(word(HUNDRED, mine), LESS)
        some = {**exact(*[150e3] * 7), 3: Reading(140e3, True)}
        self.assertEqual(word(some, HUNDRED), MORE)

    def test_below_an_exact_rate_does_not(self):
        mine = at_least(*[50e3] * 7)
        self.assertEqual(word(mine, HUNDRED), verdicts.ONE_BOUND)
        self.assertEqual(word(HUNDRED, mine), verdicts.ONE_BOUND)

    def test_near_an_exact_rate_does_not(self):
        self.assertEqual(word(at_least(*[100e3] * 7), HUNDRED),
                         verdicts.ONE_BOUND)  # fmt: skip

    def test_of_both_decide_nothing(self):
        mine, other = at_least(*[150e3] * 7), at_least(*[100e3] * 7)
        self.assertEqual(word(mine, other), verdicts.BOTH_BOUNDS)

    def test_of_both_in_different_blocks_decide_nothing(self):
        mine = {**exact(*[150e3] * 7), 0: Reading(200e3, True)}
        other = {**HUNDRED, 1: Reading(90e3, True)}
        self.assertEqual(word(mine, other), verdicts.BOTH_BOUNDS)

    def test_have_an_interval_that_is_open(self):
        found = verdicts.compare(at_least(*[150e3] * 7), HUNDRED).at(0.05)
        self.assertIsNone(found.high)
        self.assertGreater(found.low, 1.4)
        self.assertEqual(found.side, verdicts.AT_LEAST)
        self.assertEqual(found.inverse().side, verdicts.AT_MOST)

    def test_the_truth_behind_them_is_never_called_the_wrong_way(self):
        """Equals, one of which is seen through a load that limits."""
        draw = random.Random(4).gauss
        for _ in range(300):
            mine = {}
            for block in range(BLOCKS):
                rate = math.exp(draw(0, 0.1))
                mine[block] = Reading(min(rate, 1.0), rate > 1)
            other = exact(*(math.exp(draw(0, 0.1)) for _ in range(BLOCKS)))
            self.assertNotEqual(word(mine, other), LESS)


class Zeros(unittest.TestCase):
    def test_are_told_as_what_they_are(self):
        for mine, other, expected in (
            (exact(0, 0), exact(3, 3), verdicts.NONE_OF_IT),
            (exact(3, 3), exact(0, 0), verdicts.SOME_OF_IT),
            (exact(0, 0), exact(0, 0), SAME),
            (exact(0, 1), exact(3, 3), verdicts.NOT_ALWAYS),
        ):  # fmt: skip
            self.assertEqual(word(mine, other), expected)
        found = verdicts.compare(exact(0, 0), exact(3, 3))
        self.assertEqual(found.said, "0 against 3")
        self.assertEqual(found.inverse().said, "3 against 0")


class Holm(unittest.TestCase):
    def judged(self, *factors, floor=None):
        """Each strays by 5 % in 7 blocks around its factor."""
        stray = (-1, -1, 0, 0, 0, 1, 1)
        ratios = {
            place: verdicts.compare(
                exact(*(factor * 1.05**x for x in stray)), exact(*[1] * 7)
            )
            for place, factor in enumerate(factors)
        }
        return verdicts.judge(ratios, dict.fromkeys(ratios, floor))

    def words(self, *factors, **more):
        found = self.judged(*factors, **more)
        return [found[place].word for place in range(len(factors))]

    def test_takes_more_where_there_are_more(self):
        self.assertEqual(self.words(1.05), [MORE])
        self.assertEqual(self.words(*[1.05] + [1.0] * 20), [SAME] * 21)

    def test_the_next_is_held_to_less_than_the_first(self):
        # Three levels: 1.67, 2.5 and 5 %; the weakest alone has its 5 %.
        self.assertEqual(self.words(1.5, 1.3, 1.05), [MORE] * 3)
        self.assertEqual(self.words(1.0, 1.0, 1.05), [SAME] * 3)

    def test_an_interval_leaves_1_out_where_there_is_a_verdict(self):
        for found in self.judged(1.5, 0.7, 1.05, 1.0, 0.99).values():
            inside = found.ratio.low <= 1 <= found.ratio.high
            self.assertEqual(inside, found.word == SAME)

    def test_what_the_reference_does_to_itself_is_no_difference(self):
        floor = verdicts.Floor(-0.05, 0.03, 7)
        self.assertEqual(self.words(1.06, floor=floor), [verdicts.WITHIN])
        self.assertEqual(self.words(1 / 1.06, floor=floor), [verdicts.WITHIN])
        self.assertEqual(self.words(1.1, 1 / 1.1, floor=floor), [MORE, LESS])


class Floor(unittest.TestCase):
    def test_is_an_interval_of_all_scenarios(self):
        found = verdicts.floor_of([[0.1, 0.0, -0.1], [0.2, 0.0, -0.2]])
        self.assertAlmostEqual(found.middle, 0)
        # Deviation sqrt(0.1 / 5) of 6; means of 3; t of 5 degrees is 2.571.
        half = 2.571 * math.sqrt(0.02 / 3)
        self.assertAlmostEqual(found.half, half, places=3)
        self.assertAlmostEqual(found.low, math.exp(-half), places=3)
        self.assertEqual(found.count, 6)

    def test_of_too_few_is_none(self):
        self.assertIsNone(verdicts.floor_of([[0.1, 0.2], []]))
        self.assertIsNone(verdicts.floor_of([]))

    def test_takes_what_a_race_once_called_faster(self):
        """1.065 [1.030 1.076] beside a reference that came to 0.953 of itself,
        [0.831 1.097]: only that one number stood against it."""
        middle = math.log(0.953)
        floor = verdicts.Floor(middle, math.log(1.097) - middle, 8)
        near = (1.05, 1.06, 1.07, 1.08, 1.06, 1.07, 1.065, 1.065)
        ratio = verdicts.compare(exact(*near), exact(*[1] * 8))
        self.assertLess(ratio.p, 0.001)
        found = verdicts.judge({"it": ratio}, {"it": floor})
        self.assertEqual(found["it"].word, verdicts.WITHIN)


class Tables(unittest.TestCase):
    """Blocks that are drawn: equals, whose strays are a normal machine's, and
    the reference's two cells in each block."""

    def tables(self, draw):
        """({label: Ratio}, Floor) of tables, one after the other."""
        for _ in range(TABLES):
            blocks = [self.block(draw) for _ in range(BLOCKS)]
            first, twin = (exact(*(b[k] for b in blocks)) for k in (0, 1))
            reference = {
                block: verdicts.mean_of([first[block], twin[block]])
                for block in first
            }
            ratios = {
                k: verdicts.compare(exact(*(b[k] for b in blocks)), reference)
                for k in range(2, SERVERS + 1)
            }
            strays = [math.log(twin[b].value / first[b].value) for b in first]
            yield ratios, verdicts.floor_of([strays])

    def block(self, draw):
        common = draw(0, BLOCK_STRAY)
        return [math.exp(common + draw(0, CELL_STRAY))
                for _ in range(SERVERS + 1)]  # fmt: skip

    def test_of_equals_have_a_false_verdict_in_at_most_10_of_100(self):
        wrong = {True: 0, False: 0}
        for ratios, floor in self.tables(random.Random(11).gauss):
            for with_floor in wrong:
                floors = dict.fromkeys(ratios, floor if with_floor else None)
                judged = verdicts.judge(ratios, floors).values()
                wrong[with_floor] += any(
                    found.word in (MORE, LESS) for found in judged
                )
        self.assertLessEqual(max(wrong.values()), 10)

    def test_of_equals_that_stray_by_bursts_have_no_more(self):
        """One cell in ten is five times as far off: not what t assumes."""
        rng = random.Random(12)

        def draw(middle, stray):
            return rng.gauss(middle, stray * (5 if rng.random() < 0.1 else 1))

        wrong = sum(
            any(x.word in (MORE, LESS) for x in verdicts.judge(ratios).values())
            for ratios, _ in self.tables(draw)
        )
        self.assertLessEqual(wrong, 10)

    def test_the_difference_that_is_printed_is_found_in_85_of_100(self):
        found = 0
        for ratios, floor in self.tables(random.Random(13).gauss):
            least = verdicts.smallest_difference(
                ratios.values(), len(ratios), floor
            )
            planted = ratios[5]
            away = verdicts.Ratio(
                planted.factor * least, planted.count, planted.spread
            )
            judged = verdicts.judge(
                {**ratios, 5: away}, dict.fromkeys(ratios, floor)
            )
            found += judged[5].word == MORE
        self.assertGreaterEqual(found, 85)

    def test_a_run_that_strays_less_finds_smaller_differences(self):
        def least(spread, blocks, count):
            ratio = verdicts.Ratio(1.0, blocks, spread)
            return verdicts.smallest_difference([ratio], count)

        self.assertLess(least(0.08, 7, 6), least(0.13, 7, 6))
        self.assertLess(least(0.08, 14, 6), least(0.08, 7, 6))
        self.assertLess(least(0.08, 7, 2), least(0.08, 7, 21))
        self.assertIsNone(verdicts.smallest_difference([], 0))


class Stored(unittest.TestCase):
    """Runs of one program beside itself, and the twins of other runs."""

    METRICS = ("rate", "p50", "p99", "cpu", "calls", "switches")

    def comparisons(self):
        """In every scenario, also where no verdict is made of it: who is the
        same is asked at the same rate."""
        for name in ("aa-1", "aa-2", "full", "sweep"):
            run = results.Results(journal.parse(STORED / f"{name}.jsonl")[0])
            two = run.plan.twin.label, run.plan.reference.label
            for scenario in run.scenarios():
                for metric in self.METRICS:
                    mine, other = (run.blocks(scenario, (label,), metric)
                                   for label in two)  # fmt: skip
                    ratio = verdicts.compare(mine, other)
                    if ratio is not None and ratio.word is None:
                        yield ratio

    def test_are_shown_whole(self):
        """Also where the load was what limited: 9 of 14 cells of the reference
        in S2, and in no block were all of both VALID."""
        for name in ("quick", "full", "sweep", "aa-1", "aa-2"):
            run = results.Results(journal.parse(STORED / f"{name}.jsonl")[0])
            self.assertTrue(table.render(run))
            self.assertTrue(list(readme.markdown(run, name)))
            for scenario in run.scenarios():
                for label in (run.plan.reference.label, *run.others):
                    cells = run.cells(scenario, label)
                    known = run.readings(scenario, label, "rate")
                    late = [c for c in cells if "us after their time" in
                            c["reason"]]  # fmt: skip
                    self.assertGreaterEqual(len(known) + len(late), len(cells))
                    word = run.verdict(scenario, label, run.metric(scenario))
                    if not late:
                        self.assertNotEqual(word, results.NO_PAIRS)

    def test_hold_the_level(self):
        """5 of 100 may be below 5 %, and one of 1000 below 0.1 %."""
        found = [r.p for r in self.comparisons() if not r.side]
        self.assertGreater(len(found), 120)
        self.assertLessEqual(sum(p < 0.05 for p in found), 0.08 * len(found))
        self.assertEqual(sum(p < 0.001 for p in found), 0)

    def test_have_no_false_verdict_as_a_table(self):
        ratios = dict(enumerate(self.comparisons()))
        bare = {key: verdicts.Ratio(r.factor, r.count, r.spread)
                for key, r in ratios.items()}  # fmt: skip
        judged = verdicts.judge(bare)
        self.assertEqual({found.word for found in judged.values()}, {SAME})


if __name__ == "__main__":
    unittest.main()
