#pragma once
// What can be known of samples. Functions of numbers alone: where the numbers
// come from is told by findings.hpp.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace load {

// ---- Are they so distributed? -----------------------------------------------

/// The part of all times from one event of a Poisson process to the `count`-th
/// after it (1: the next) that are shorter than `mean_counts`, which is the
/// time in units of the mean gap: Erlang's distribution. By then at least
/// `count` events have come, whose number is distributed by Poisson.
double erlang(std::uint64_t count, double mean_counts);

/// The probability of a statistic of Anderson and Darling above this one, where
/// the distribution is wholly known (their case 0), of any number of samples:
/// the asymptotic one of Marsaglia and Marsaglia (Evaluating the
/// Anderson-Darling Distribution, Journal of Statistical Software 9, 2004, 2).
double anderson_darling(double statistic);

/// How likely numbers as far from an even distribution between 0 and 1 are
/// where they are drawn from it: the test of Anderson and Darling (A Test of
/// Goodness of Fit, JASA 49, 1954). Nothing of less than 100 numbers.
///
/// Numbers below 0.0001, and above 0.9999, count as these. The statistic has no
/// bound on what one number adds to it, and one pause of a machine, which makes
/// a gap of 20 ms and ten of none, would be evidence without end.
std::optional<double> evenness(std::vector<double> numbers);

// ---- How many are they really? ----------------------------------------------

/// Samples in their order, each above a threshold or not. To how many
/// independent ones do they come, of which the part above would stray as much?
///
/// n samples count as n / T, with T = 1 + 2 (r1 + r2 + ...), r the correlation
/// of samples so far apart. The sum ends as Geyer's initial positive sequence
/// (Practical Markov Chain Monte Carlo, Statistical Science 7, 1992, 3.3):
/// where two neighbours of it come to nothing. Where it does not end soon,
/// every second sample is dropped, until those left are as good as independent;
/// this is what Lancet does with all (Kogias, Mallon, Bugnion, Lancet: A
/// Self-Correcting Latency Measuring Tool, USENIX ATC 2019, 4.2).
double effective_count(std::span<const std::uint16_t> samples,
                       std::uint16_t threshold);

/// Two ranks of so many independent samples, counted from 1 in the order of
/// their values: the quantile lies between those two with a probability of at
/// least 95 %, by the binomial distribution and whatever theirs is (Conover,
/// Practical Nonparametric Statistics, 3.2). Nothing where the samples are too
/// few for it.
struct Ranking {
  std::uint64_t low, high;
};
std::optional<Ranking> enclosing_ranks(std::uint64_t count, double quantile);

// ---- Do they change? --------------------------------------------------------

/// Whether numbers rise or fall from the first to the last.
struct Trend {
  double p = 1;      // how likely as clear a trend is where there is none
  double drift = 0;  // from the first to the last, as a part of their median
};
/// By Mann and Kendall, with the correction for ties (Kendall, Rank Correlation
/// Methods, 1975, 4 and 5): of all pairs, how many more rise than fall. It asks
/// for the order only, so that one window with a pause in it is one of many.
/// How much they change is Theil's and Sen's, the median of all pairs' slopes.
Trend find_trend(std::span<const double> numbers);

}  // namespace load
