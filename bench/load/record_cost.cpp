// What recording a sample costs, in nanoseconds. Pin it and let the machine be
// quiet: taskset -c 1 record-cost. The best of the rounds, each of a
// millisecond or two, is what the code costs; the others say what the machine
// adds.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include "bench/load/histogram.hpp"

namespace {

constexpr int rounds = 400;
constexpr int repeats = 5;

// From a microsecond to a second, evenly over the powers of two: as many
// buckets in use as a histogram ever has, and no two samples alike.
std::vector<std::int64_t> draw_samples() {
  std::mt19937_64 random(4711);
  std::vector<std::int64_t> samples(1 << 16);
  for (std::int64_t& sample : samples) {
    const std::uint64_t power = std::uint64_t{1} << (10 + random() % 20);
    sample = static_cast<std::int64_t>(power + random() % power);
  }
  return samples;
}

double time_round(load::Histogram& histogram,
                  const std::vector<std::int64_t>& samples) {
  using clock = std::chrono::steady_clock;
  const clock::time_point start = clock::now();
  for (int i = 0; i < repeats; ++i)
    for (const std::int64_t sample : samples) histogram.record(sample);
  const std::chrono::duration<double, std::nano> spent = clock::now() - start;
  return spent.count() / repeats / static_cast<double>(samples.size());
}

}  // namespace

int main() {
  const std::vector<std::int64_t> samples = draw_samples();
  load::Histogram histogram;
  std::array<double, rounds> costs;
  for (double& cost : costs) cost = time_round(histogram, samples);
  std::ranges::sort(costs);
  // The median of the samples is printed so that recording them cannot be left
  // out by the compiler.
  std::printf("%.2f ns a record (median of %d rounds %.2f, worst %.2f); ",
              costs.front(), rounds, costs[rounds / 2], costs.back());
  std::printf("%llu records, half of them below %lld ns\n",
              static_cast<unsigned long long>(histogram.count()),
              static_cast<long long>(histogram.value_at(50)));
}
