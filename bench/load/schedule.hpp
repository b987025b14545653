#pragma once
// When an open load sends: by its own clock, never by the answers.

#include <cmath>
#include <cstdint>

#include "bench/load/workload.hpp"

namespace load {

enum class Arrivals { poisson, fixed };

/// The times of one connection's requests, on an absolute schedule: a request
/// that goes late does not move the next one.
class Schedule {
 public:
  /// `rate` in requests per second, above 0. The first time is at a random
  /// phase behind `begin_ns`, so that connections do not send in step.
  Schedule(Arrivals arrivals, double rate, std::int64_t begin_ns, Random random)
      : arrivals_(arrivals),
        random_(random),
        gap_ns_(1e9 / rate),
        next_ns_(static_cast<double>(begin_ns)) {
    if (arrivals_ == Arrivals::fixed) next_ns_ += gap_ns_ * random_.fraction();
    if (arrivals_ == Arrivals::poisson) advance();
  }

  std::int64_t next_ns() const { return static_cast<std::int64_t>(next_ns_); }
  /// How many times lie between one of them and `to_ns`, itself among them: of
  /// Poisson arrivals as many as are to be expected.
  std::uint64_t count_between(std::int64_t from_ns, std::int64_t to_ns) const {
    if (from_ns >= to_ns) return 0;
    return 1 + static_cast<std::uint64_t>(
                   static_cast<double>(to_ns - 1 - from_ns) / gap_ns_);
  }
  /// Leaves out what lies before `from_ns`.
  void skip_to(std::int64_t from_ns) {
    const double behind = static_cast<double>(from_ns) - next_ns_;
    if (behind <= 0) return;
    next_ns_ += std::ceil(behind / gap_ns_) * gap_ns_;
  }
  void advance() {
    // Between Poisson arrivals lie exponential gaps, without memory.
    next_ns_ += arrivals_ == Arrivals::poisson
                    ? -gap_ns_ * std::log(random_.fraction())
                    : gap_ns_;
  }

 private:
  Arrivals arrivals_;
  Random random_;
  double gap_ns_;
  double next_ns_;  // to the nanosecond up to 2^53, 104 days
};

}  // namespace load
