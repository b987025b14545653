#pragma once
// What a load finds out about its own samples: whether it sent as its schedule
// says, how many samples they really are, and whether the latency was the same
// from the beginning to the end.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "bench/load/histogram.hpp"
#include "bench/load/series.hpp"
#include "bench/load/statistics.hpp"

namespace load {

/// Of which an interval is told.
inline constexpr std::array<double, 4> percentiles{50, 90, 99, 99.9};

struct Interval {
  std::int64_t low_ns, high_ns;
};

struct Findings {
  /// That gaps like these come from the schedule.
  std::optional<double> gaps_p;
  /// That latencies like these come from a server that stays as it is.
  std::optional<Trend> trend;
  /// Independent samples that would tell as much of the median.
  std::optional<std::uint64_t> effective_n;
  /// Of each percentile, with a probability of 95 %.
  std::array<std::optional<Interval>, percentiles.size()> intervals;
};

/// Latencies in the order of the answers, as places of a histogram: 256 kB.
using Latencies = Series<std::uint16_t>;
inline constexpr std::size_t latencies_max = 131'072;
static_assert(Histogram::size <= 1 << 16);

/// When requests of a Poisson schedule were sent.
///
/// What is tested are the times at which they really went, not those at which
/// they should have gone: a schedule can be right and not be kept. But a loop
/// that wakes up for one request, and sends what is due meanwhile with it,
/// makes gaps of some microseconds out of gaps of none and of many; no load
/// could stand a test of each. So of as many requests as come in a millisecond
/// one is looked at, and tested is the time from one of these to the next,
/// which is a sum of exponential gaps and distributed as Erlang has it: some
/// tens of microseconds are little beside its standard deviation, and batches
/// longer than that, even gaps and another rate are not. At most 4096 times are
/// kept; of a longer run, those of every second one, and so on.
class Sends {
 public:
  /// `rate`: of all that it is told of, per second.
  explicit Sends(double rate);
  void add(std::int64_t sent_ns) { times_.add(sent_ns); }
  /// Of each gap, which part of such gaps is shorter: numbers that are spread
  /// evenly between 0 and 1 if they are of that schedule.
  std::vector<double> gaps() const;

 private:
  double rate_;
  Series<std::int64_t> times_;
};

/// Several series that cover the same time, as one that covers it.
std::vector<std::uint16_t> interleave(
    const std::vector<std::vector<std::uint16_t>>& all);

/// `latencies`: in their order, some of those in the histogram. `gaps`: of all
/// Sends, empty if there was no such schedule.
Findings examine(const Histogram& latency,
                 std::span<const std::uint16_t> latencies,
                 const std::vector<double>& gaps);

}  // namespace load
