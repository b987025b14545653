#include "bench/load/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "bench/load/series.hpp"
#include "bench/load/workload.hpp"

namespace {

using load::Random;
using load::Ranking;

// ---- Series -----------------------------------------------------------------

TEST(Series, KeepsAllAsLongAsThereIsRoom) {
  load::Series<int> series(8);
  for (int i = 1; i < 8; ++i) series.add(i);
  EXPECT_EQ(series.values().size(), 7u);
  EXPECT_EQ(series.values().back(), 7);
}

TEST(Series, KeepsWhatIsAsFarFromEachOtherHoweverMuchComes) {
  for (const int count : {8, 9, 100, 1000, 12'345}) {
    load::Series<int> series(8, 3);
    for (int i = 1; i <= count; ++i) series.add(i);
    const auto stride = static_cast<int>(series.stride());
    const auto values = series.values();
    EXPECT_LT(values.size(), 8u);
    EXPECT_EQ(values.size(), static_cast<std::size_t>(count / stride));
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(values[i], static_cast<int>(i + 1) * stride);
  }
}

// ---- Erlang -----------------------------------------------------------------

TEST(Erlang, OfOneIsExponential) {
  for (const double x : {1e-9, 0.1, 0.5, 1.0, 3.0, 20.0})
    EXPECT_NEAR(load::erlang(1, x), -std::expm1(-x), 1e-14);
}

TEST(Erlang, HasKnownValues) {
  EXPECT_NEAR(load::erlang(2, 2), 1 - 3 * std::exp(-2), 1e-14);
  EXPECT_NEAR(load::erlang(3, 1), 1 - 2.5 * std::exp(-1), 1e-14);
  // A chi-square of 20 degrees of freedom is twice such a time: its quantiles
  // of 5 % and 95 % stand in every table.
  EXPECT_NEAR(load::erlang(10, 10.851 / 2), 0.05, 1e-5);
  EXPECT_NEAR(load::erlang(10, 31.410 / 2), 0.95, 1e-5);
  // Of many it is normal: 1.96 standard deviations.
  EXPECT_NEAR(load::erlang(1'000'000, 1e6 + 1960), 0.975, 2e-4);
  EXPECT_NEAR(load::erlang(1'000'000, 1e6 - 1960), 0.025, 2e-4);
}

TEST(Erlang, IsBetweenNothingAndOneEverywhere) {
  EXPECT_EQ(load::erlang(10, 0), 0);
  EXPECT_EQ(load::erlang(10, -1), 0);
  EXPECT_EQ(load::erlang(100'000, 1), 0);
  EXPECT_EQ(load::erlang(1, 1e9), 1);
  EXPECT_EQ(load::erlang(10, 1e9), 1);
}

// ---- Evenness ---------------------------------------------------------------

// The statistic is a sum of chi-squares, each divided by j (j + 1); these are
// its quantiles by Imhof's inversion (Computing the Distribution of Quadratic
// Forms in Normal Variables, Biometrika 48, 1961).
TEST(AndersonDarling, HasItsQuantiles) {
  EXPECT_NEAR(load::anderson_darling(0.5), 0.74681, 2e-5);
  EXPECT_NEAR(load::anderson_darling(1.6212), 0.15001, 2e-5);
  EXPECT_NEAR(load::anderson_darling(1.9330), 0.1, 2e-5);
  EXPECT_NEAR(load::anderson_darling(2.4922), 0.05001, 2e-5);
  EXPECT_NEAR(load::anderson_darling(3.0775), 0.025, 2e-5);
  EXPECT_NEAR(load::anderson_darling(3.8781), 0.01, 2e-5);
  EXPECT_NEAR(load::anderson_darling(5.97), 0.001, 2e-5);
  EXPECT_NEAR(load::anderson_darling(1e-3), 1, 1e-9);
  EXPECT_LT(load::anderson_darling(30), 1e-9);
  EXPECT_GE(load::anderson_darling(300), 0);
}

std::vector<double> drawn(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<double> numbers(count);
  for (double& number : numbers) number = random.fraction();
  return numbers;
}

TEST(Evenness, IsDoubtedAsOftenAsItsLevelSays) {
  int doubted = 0;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed)
    doubted += *load::evenness(drawn(300, seed)) < 0.05;
  EXPECT_NEAR(doubted, 100, 30);
}

TEST(Evenness, IsNotThatOfEqualNumbersNorOfSquares) {
  EXPECT_LT(*load::evenness(std::vector(100, 0.5)), 1e-9);
  std::vector<double> squares = drawn(300, 1);
  for (double& number : squares) number *= number;
  EXPECT_LT(*load::evenness(squares), 1e-6);
}

TEST(Evenness, OutlivesAFewNumbersAtItsEnds) {
  std::vector<double> numbers = drawn(1000, 1);
  for (std::size_t i = 0; i < 10; ++i) numbers[i] = 0;
  numbers[10] = 1;
  EXPECT_GT(*load::evenness(numbers), 0.001);
}

TEST(Evenness, IsNotAskedOfTooFew) {
  EXPECT_FALSE(load::evenness(drawn(99, 1)));
  EXPECT_TRUE(load::evenness(drawn(100, 1)));
}

// ---- Effective count --------------------------------------------------------

std::vector<std::uint16_t> samples(std::size_t count) {
  Random random(1);
  std::vector<std::uint16_t> found(count);
  for (auto& sample : found)
    sample = static_cast<std::uint16_t>(random.below(1000));
  return found;
}

TEST(EffectiveCount, OfIndependentSamplesIsAllOfThem) {
  for (const int part : {500, 900, 990})
    EXPECT_NEAR(load::effective_count(samples(50'000),
                                      static_cast<std::uint16_t>(part)),
                50'000, 2500);
}

TEST(EffectiveCount, OfSamplesThatComeInTensIsATenth) {
  std::vector<std::uint16_t> tens;
  for (const std::uint16_t sample : samples(5000))
    tens.insert(tens.end(), 10, sample);
  EXPECT_NEAR(load::effective_count(tens, 500), 5000, 500);
  EXPECT_NEAR(load::effective_count(tens, 900), 5000, 500);
}

// The sum over all distances is (1 + r) / (1 - r).
TEST(EffectiveCount, OfAMarkovChainIsWhatItsCorrelationSays) {
  for (const double r : {0.5, 0.9, 0.99}) {
    Random random(3);
    std::vector<std::uint16_t> chain{1};
    while (chain.size() < 100'000) {
      const bool same = random.fraction() < (1 + r) / 2;
      chain.push_back(same ? chain.back() : 1 - chain.back());
    }
    const double expected = 100'000 * (1 - r) / (1 + r);
    EXPECT_NEAR(load::effective_count(chain, 0), expected, expected / 4);
  }
}

TEST(EffectiveCount, OfOneStepIsNextToNothing) {
  std::vector<std::uint16_t> steps(10'000, 1);
  steps.insert(steps.end(), 10'000, 2);
  EXPECT_LT(load::effective_count(steps, 1), 20);
}

TEST(EffectiveCount, IsNeverMoreThanTheSamples) {
  std::vector<std::uint16_t> turns;
  for (std::uint16_t i = 0; i < 1000; ++i) turns.push_back(i % 2);
  EXPECT_EQ(load::effective_count(turns, 0), 1000);
  EXPECT_EQ(load::effective_count(turns, 1), 1000) << "none is above";
  EXPECT_EQ(load::effective_count({}, 1), 0);
  EXPECT_EQ(load::effective_count(samples(1), 500), 1);
}

// ---- Intervals --------------------------------------------------------------

std::optional<Ranking> ranks(std::uint64_t count, double quantile) {
  return load::enclosing_ranks(count, quantile);
}

// Of the median they stand in tables, as in Le Boudec, Performance Evaluation
// of Computer and Communication Systems, appendix A.
TEST(EnclosingRanks, OfTheMedianAreThoseOfTheTables) {
  const auto expect = [](std::uint64_t count, std::uint64_t low,
                         std::uint64_t high) {
    const auto found = ranks(count, 0.5);
    ASSERT_TRUE(found) << count;
    EXPECT_EQ(found->low, low) << count;
    EXPECT_EQ(found->high, high) << count;
  };
  expect(6, 1, 6);
  expect(10, 2, 9);
  expect(20, 6, 15);
  expect(50, 18, 33);
  expect(70, 27, 44);
}

TEST(EnclosingRanks, WantEnoughSamples) {
  EXPECT_FALSE(ranks(0, 0.5));
  EXPECT_FALSE(ranks(5, 0.5));
  // 0.99^n is at most 0.025.
  EXPECT_FALSE(ranks(367, 0.99));
  EXPECT_TRUE(ranks(368, 0.99));
  EXPECT_FALSE(ranks(3687, 0.999));
  EXPECT_TRUE(ranks(3688, 0.999));
}

TEST(EnclosingRanks, OfManyAreNormal) {
  const auto found = ranks(1'000'000, 0.99);
  ASSERT_TRUE(found);
  EXPECT_NEAR(static_cast<double>(found->low), 990'000 - 195, 1);
  EXPECT_NEAR(static_cast<double>(found->high), 990'000 + 196, 1);
}

TEST(EnclosingRanks, EncloseAsOftenAsTheyPromise) {
  const Ranking found = *ranks(50, 0.9);
  Random random(5);
  int enclosed = 0;
  for (int i = 0; i < 4000; ++i) {
    std::uint64_t below = 0;
    for (int n = 0; n < 50; ++n) below += random.fraction() < 0.9;
    enclosed += below >= found.low && below < found.high;
  }
  EXPECT_GE(enclosed, 3800 - 40);
}

// ---- Trends -----------------------------------------------------------------

TEST(Trend, OfTenThatRise) {
  std::vector<double> numbers(10);
  std::iota(numbers.begin(), numbers.end(), 1);
  const load::Trend rising = load::find_trend(numbers);
  // All 45 pairs, of a variance of 125: 44 / sqrt(125).
  EXPECT_NEAR(rising.p, 8.303e-5, 1e-7);
  EXPECT_NEAR(rising.drift, 9 / 5.5, 1e-12);
  const load::Trend falling =
      load::find_trend(std::vector<double>(numbers.rbegin(), numbers.rend()));
  EXPECT_EQ(falling.p, rising.p);
  EXPECT_EQ(falling.drift, -rising.drift);
}

// The variance is (4 3 13 - 2 (2 1 9)) / 18.
TEST(Trend, IsCorrectedForTies) {
  const load::Trend found = load::find_trend(std::vector<double>{1, 1, 2, 2});
  EXPECT_NEAR(found.p, std::erfc(3 / std::sqrt(120.0 / 18) / std::sqrt(2.0)),
              1e-12);
}

TEST(Trend, IsNotThereWhereNothingChangesOrNothingIs) {
  EXPECT_EQ(load::find_trend(std::vector<double>(32, 5)).p, 1);
  EXPECT_EQ(load::find_trend(std::vector<double>(32, 5)).drift, 0);
  EXPECT_EQ(load::find_trend({}).p, 1);
  EXPECT_EQ(load::find_trend(std::vector<double>{3}).p, 1);
}

TEST(Trend, OfNoiseIsFoundAsOftenAsItsLevelSays) {
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed)
    found += load::find_trend(drawn(32, seed)).p < 0.05;
  EXPECT_NEAR(found, 100, 35);
}

TEST(Trend, OfOneStepInTheMiddleIsFound) {
  std::vector<double> numbers = drawn(32, 4);
  for (std::size_t i = 16; i < 32; ++i) numbers[i] += 1;
  EXPECT_LT(load::find_trend(numbers).p, 0.001);
}

TEST(Trend, IsNotMadeByOnePause) {
  std::vector<double> numbers = drawn(32, 4);
  const double before = load::find_trend(numbers).p;
  numbers[31] = 1e9;
  EXPECT_GT(load::find_trend(numbers).p, before / 4);
}

}  // namespace
