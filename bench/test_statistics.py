"""The statistics of bench/, with answers known beforehand."""

import random
import sys
import unittest

sys.dont_write_bytecode = True
import paired  # noqa: E402  (after the line that keeps the tree clean)

QUIET = paired.Estimate(1.0, 0.99, 1.01, 15)


class Median(unittest.TestCase):
    def test_odd_even_and_none(self):
        self.assertEqual(paired.median([3, 1, 2]), 2)
        self.assertEqual(paired.median([4, 1, 2, 3]), 2.5)
        with self.assertRaises(ValueError):
            paired.median([])


class Rank(unittest.TestCase):
    def test_agrees_with_the_binomial_tables(self):
        # Sign test tables, two-sided 5 %: n and the rank of the lower bound.
        known = {5: 0, 6: 1, 8: 1, 9: 2, 12: 3, 15: 4, 20: 6, 25: 8, 30: 10}
        for count, k in known.items():
            self.assertEqual(paired.rank(count), k, count)

    def test_grows_with_less_confidence(self):
        self.assertEqual(paired.rank(5, 0.90), 1)
        self.assertEqual(paired.rank(15, 0.99), 3)

    def test_covers_the_median_as_often_as_it_says(self):
        draw = random.Random(7).lognormvariate
        inside = 0
        for _ in range(2000):
            found = paired.estimate([draw(0, 1) for _ in range(15)])
            inside += found.low <= 1 <= found.high
        # 96.5 % is exact for 15 values; 2 000 draws stray by 0.4 points.
        self.assertAlmostEqual(inside / 2000, 0.965, delta=0.015)


class Estimates(unittest.TestCase):
    def test_takes_the_fourth_of_fifteen_from_either_side(self):
        found = paired.estimate([100 + i for i in range(15)])
        self.assertEqual((found.median, found.low, found.high), (107, 103, 111))

    def test_ignores_outliers(self):
        found = paired.estimate([1.0] * 12 + [50.0] * 3)
        self.assertEqual((found.median, found.low, found.high), (1, 1, 1))

    def test_too_few_have_no_interval(self):
        found = paired.estimate([1.0] * 5)
        self.assertIsNone(found.low)
        self.assertIn("too few", str(found))

    def test_prints_median_and_bounds(self):
        self.assertEqual(str(QUIET), "1.000 [0.990 1.010]")


class Ratios(unittest.TestCase):
    def test_pairs_by_slice_so_that_drift_cancels(self):
        # A machine that gets slower all the time; a program that costs 1.2.
        reference = {
            r: [1.1 ** (r + s / 3) for s in range(3)] for r in range(15)
        }
        shifted = {r: [1.2 * v for v in vs] for r, vs in reference.items()}
        found = paired.estimate(paired.ratios(shifted, reference))
        for value in (found.median, found.low, found.high):
            self.assertAlmostEqual(value, 1.2)

    def test_a_burst_spoils_a_slice_and_not_the_round(self):
        self.assertEqual(paired.ratios({0: [2, 90, 2]}, {0: [1, 1, 1]}), [2])

    def test_leaves_out_a_round_that_one_of_them_lacks(self):
        ratios = paired.ratios({0: [2], 1: [3]}, {1: [2], 2: [5]})
        self.assertEqual(ratios, [1.5])

    def test_refuses_rounds_of_different_length(self):
        with self.assertRaises(ValueError):
            paired.ratios({0: [1, 2]}, {0: [1]})


class Verdicts(unittest.TestCase):
    def verdict(self, values, limit, noise=QUIET):
        return paired.judge(paired.estimate(values), limit, noise)

    def test_shifted_beyond_the_limit_fails(self):
        self.assertEqual(self.verdict([1.10] * 15, 1.05), paired.FAILS)

    def test_identical_holds(self):
        self.assertEqual(self.verdict([1.0] * 15, 1.05), paired.HOLDS)

    def test_on_the_limit_holds(self):
        self.assertEqual(self.verdict([1.05] * 15, 1.05), paired.HOLDS)

    def test_an_interval_around_the_limit_neither_holds_nor_fails(self):
        values = [1.00 + 0.01 * i for i in range(15)]
        self.assertEqual(self.verdict(values, 1.05), paired.OPEN)

    def test_too_few_are_inconclusive(self):
        self.assertEqual(self.verdict([2.0] * 5, 1.05), paired.INCONCLUSIVE)

    def test_a_noisy_self_comparison_is_inconclusive(self):
        for noise in (
            paired.Estimate(1.0, 0.97, 1.03, 15),  # 6 % wide
            paired.Estimate(1.04, 1.02, 1.06, 15),  # narrow, but not around 1
            paired.Estimate(1.0, None, None, 5),
        ):
            verdict = self.verdict([2.0] * 15, 1.05, noise)
            self.assertEqual(verdict, paired.INCONCLUSIVE)


if __name__ == "__main__":
    unittest.main()
