#include "bench/load/findings.hpp"

#include <algorithm>
#include <cmath>
#include <queue>

namespace load {
namespace {

constexpr std::size_t sends_max = 4096;
constexpr double sends_apart_s = 0.001;

std::uint64_t stride_of(double rate) {
  return static_cast<std::uint64_t>(
      std::max(std::ceil(rate * sends_apart_s), 1.0));
}

std::uint16_t place_of(std::int64_t value_ns) {
  return static_cast<std::uint16_t>(Histogram::index_of(
      std::clamp<std::int64_t>(value_ns, 0, Histogram::highest)));
}

/// Windows of as many answers each, and of each the median: what a pause does
/// to some of its answers is not seen in it.
std::optional<Trend> find_trend_of(std::span<const std::uint16_t> latencies) {
  constexpr std::size_t windows = 32, least = 10;
  const std::size_t length = latencies.size() / windows;
  if (length < least) return std::nullopt;
  std::vector<double> medians;
  for (std::size_t i = 0; i < windows; ++i) {
    const auto window = latencies.subspan(i * length, length);
    std::vector<std::uint16_t> sorted(window.begin(), window.end());
    const auto middle =
        sorted.begin() + static_cast<std::ptrdiff_t>(length / 2);
    std::ranges::nth_element(sorted, middle);
    medians.push_back(static_cast<double>(Histogram::lowest_at(*middle)));
  }
  return find_trend(medians);
}

/// As many independent samples have their percentile between those two of them;
/// where two such samples stand is read off all that there are.
std::optional<Interval> interval_of(const Histogram& latency, double percentile,
                                    double samples) {
  if (!latency.reported(percentile)) return std::nullopt;
  const auto ranks =
      enclosing_ranks(static_cast<std::uint64_t>(samples), percentile / 100);
  if (!ranks) return std::nullopt;
  const auto value = [&](std::uint64_t rank) {
    const double part = static_cast<double>(rank) / (std::floor(samples) + 1);
    return std::min(latency.value_at(100 * part), latency.max());
  };
  return Interval{value(ranks->low), value(ranks->high)};
}

}  // namespace

Sends::Sends(double rate) : rate_(rate), times_(sends_max, stride_of(rate)) {}

std::vector<double> Sends::gaps() const {
  const auto times = times_.values();
  std::vector<double> found;
  for (std::size_t i = 1; i < times.size(); ++i) {
    const auto gap_ns = static_cast<double>(times[i] - times[i - 1]);
    found.push_back(erlang(times_.stride(), gap_ns * rate_ / 1e9));
  }
  return found;
}

// The i-th of n was i + 1/2 n-ths of the time behind its beginning.
std::vector<std::uint16_t> interleave(
    const std::vector<std::vector<std::uint16_t>>& all) {
  if (all.size() == 1) return all.front();
  struct Next {
    double at;
    std::size_t series, index;
    bool operator<(const Next& other) const { return at > other.at; }
  };
  std::priority_queue<Next> queue;
  const auto push = [&](std::size_t series, std::size_t index) {
    const std::size_t size = all[series].size();
    if (index == size) return;
    const double at = static_cast<double>(index) + 0.5;
    queue.push({at / static_cast<double>(size), series, index});
  };
  for (std::size_t i = 0; i < all.size(); ++i) push(i, 0);
  std::vector<std::uint16_t> merged;
  while (!queue.empty()) {
    const Next next = queue.top();
    queue.pop();
    merged.push_back(all[next.series][next.index]);
    push(next.series, next.index + 1);
  }
  return merged;
}

Findings examine(const Histogram& latency,
                 std::span<const std::uint16_t> latencies,
                 const std::vector<double>& gaps) {
  Findings found;
  found.gaps_p = evenness(gaps);
  if (latencies.empty()) return found;
  found.trend = find_trend_of(latencies);
  for (std::size_t i = 0; i < percentiles.size(); ++i) {
    const std::uint16_t place = place_of(latency.value_at(percentiles[i]));
    const double samples = effective_count(latencies, place);
    if (i == 0) found.effective_n = static_cast<std::uint64_t>(samples);
    found.intervals[i] = interval_of(latency, percentiles[i], samples);
  }
  return found;
}

}  // namespace load
