#include "bench/load/statistics.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

namespace load {
namespace {

/// Terms below this part of the sum change nothing in it.
constexpr double negligible = 1e-16;

double poisson(std::uint64_t count, double mean) {
  const auto k = static_cast<double>(count);
  return std::exp(k * std::log(mean) - mean - std::lgamma(k + 1));
}

double median(std::vector<double> numbers) {
  const auto middle =
      numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::ranges::nth_element(numbers, middle);
  if (numbers.size() % 2 != 0) return *middle;
  return (*middle + *std::max_element(numbers.begin(), middle)) / 2;
}

}  // namespace

// From `count` on the terms fall, on that side of the mean on which it lies.
double erlang(std::uint64_t count, double mean_counts) {
  if (!(mean_counts > 0)) return 0;
  const bool rare = static_cast<double>(count) > mean_counts;
  double sum = 0;
  std::uint64_t k = rare ? count : count - 1;
  double term = poisson(k, mean_counts);
  while (term > sum * negligible) {
    sum += term;
    if (rare)
      term *= mean_counts / static_cast<double>(++k);
    else
      term *= static_cast<double>(k--) / mean_counts;
  }
  return rare ? sum : 1 - sum;
}

double anderson_darling(double z) {
  if (z < 2)
    return 1 -
           std::exp(-1.2337141 / z) / std::sqrt(z) *
               (2.00012 + (0.247105 -
                           (0.0649821 -
                            (0.0347962 - (0.011672 - 0.00168691 * z) * z) * z) *
                               z) *
                              z);
  return -std::expm1(-std::exp(
      1.0776 -
      (2.30695 -
       (0.43424 - (0.082433 - (0.008056 - 0.0003146 * z) * z) * z) * z) *
          z));
}

std::optional<double> evenness(std::vector<double> numbers) {
  constexpr std::size_t least = 100;
  constexpr double edge = 0.0001;
  if (numbers.size() < least) return std::nullopt;
  for (double& number : numbers) number = std::clamp(number, edge, 1 - edge);
  std::ranges::sort(numbers);
  const auto n = static_cast<double>(numbers.size());
  double sum = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    sum +=
        static_cast<double>(2 * i + 1) *
        (std::log(numbers[i]) + std::log1p(-numbers[numbers.size() - 1 - i]));
  return std::clamp(anderson_darling(-n - sum / n), 0.0, 1.0);
}

namespace {

/// One bit for each sample: sums of products are counts of bits.
class Bits {
 public:
  /// Of each step-th sample, those above the threshold.
  Bits(std::span<const std::uint16_t> samples, std::size_t step,
       std::uint16_t threshold)
      : size_(samples.size() / step), words_(size_ / width + 2) {
    for (std::size_t i = 0; i < size_; ++i)
      if (samples[i * step] > threshold)
        words_[i / width] |= std::uint64_t{1} << i % width;
  }

  std::size_t size() const { return size_; }
  /// How many are set, and so is the one that lies so far behind.
  std::size_t count(std::size_t lag = 0) const {
    std::size_t sum = 0;
    for (std::size_t i = 0; i + lag / width + 1 < words_.size(); ++i)
      sum += static_cast<std::size_t>(
          std::popcount(words_[i] & word_behind(i, lag)));
    return sum;
  }

 private:
  static constexpr std::size_t width = 64;
  std::uint64_t word_behind(std::size_t i, std::size_t lag) const {
    const std::uint64_t* const word = &words_[i + lag / width];
    const std::size_t shift = lag % width;
    if (shift == 0) return word[0];
    return word[0] >> shift | word[1] << (width - shift);
  }

  std::size_t size_;
  std::vector<std::uint64_t> words_;  // and one behind that is empty
};

/// T, or nothing if the sum has not ended by then.
std::optional<double> correlation_time(const Bits& bits) {
  constexpr std::size_t lag_max = 256;
  const auto n = static_cast<double>(bits.size());
  const double part = static_cast<double>(bits.count()) / n;
  if (part == 0 || part == 1) return 1;
  const auto correlation = [&](std::size_t lag) {
    const auto pairs = static_cast<double>(bits.size() - lag);
    const double both = static_cast<double>(bits.count(lag)) / pairs;
    return (both - part * part) / (part * (1 - part));
  };
  double sum = 0;
  for (std::size_t lag = 0; lag + 1 < std::min(lag_max, bits.size() / 2);
       lag += 2) {
    const double two = correlation(lag) + correlation(lag + 1);
    if (two <= 0) return std::max(2 * sum - 1, 1.0);
    sum += two;
  }
  return std::nullopt;
}

}  // namespace

double effective_count(std::span<const std::uint16_t> samples,
                       std::uint16_t threshold) {
  for (std::size_t step = 1; step < samples.size(); step *= 2) {
    const Bits bits(samples, step, threshold);
    if (const auto time = correlation_time(bits))
      return std::max(static_cast<double>(bits.size()) / *time, 1.0);
  }
  return samples.empty() ? 0 : 1;
}

// Sums from where they are nothing yet: ten standard deviations below the mean.
std::optional<Ranking> enclosing_ranks(std::uint64_t count, double quantile) {
  constexpr double tail = 0.025;
  const auto n = static_cast<double>(count);
  const double spread = std::sqrt(n * quantile * (1 - quantile));
  double k = std::max(0.0, std::floor(n * quantile - 10 * spread - 10));
  double term = std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) -
                         std::lgamma(n - k + 1) + k * std::log(quantile) +
                         (n - k) * std::log1p(-quantile));
  Ranking found{0, 0};
  for (double sum = term; k < n; sum += term) {
    if (sum <= tail) found.low = static_cast<std::uint64_t>(k) + 1;
    if (sum >= 1 - tail) {
      found.high = static_cast<std::uint64_t>(k) + 1;
      break;
    }
    term *= (n - k) / (k + 1) * quantile / (1 - quantile);
    ++k;
  }
  if (found.low == 0 || found.high == 0) return std::nullopt;
  return found;
}

namespace {

/// The variance of Kendall's sum over so many numbers; of those that are alike
/// it has to be taken off.
double kendall_variance(std::size_t count) {
  const auto n = static_cast<double>(count);
  return n * (n - 1) * (2 * n + 5) / 18;
}

}  // namespace

Trend find_trend(std::span<const double> numbers) {
  double sum = 0;
  std::vector<double> slopes;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    for (std::size_t j = i + 1; j < numbers.size(); ++j) {
      const double rise = numbers[j] - numbers[i];
      sum += rise > 0 ? 1 : rise < 0 ? -1 : 0;
      slopes.push_back(rise / static_cast<double>(j - i));
    }
  std::map<double, std::size_t> alike;
  for (const double number : numbers) ++alike[number];
  double variance = kendall_variance(numbers.size());
  for (const auto& [number, count] : alike) variance -= kendall_variance(count);
  if (slopes.empty() || !(variance > 0)) return {};
  const double z = std::max(std::abs(sum) - 1, 0.0) / std::sqrt(variance);
  return {std::erfc(z / std::sqrt(2.0)),
          median(std::move(slopes)) * static_cast<double>(numbers.size() - 1) /
              median({numbers.begin(), numbers.end()})};
}

}  // namespace load
