#pragma once
// How long everything took, in HdrHistogram's buckets: each is at most a
// thousandth of its value wide, so that a microsecond and a minute are told
// equally well, and histograms of many generators are merged by adding counts,
// never by averaging percentiles.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <vector>

namespace load {

/// Counts of samples in nanoseconds. One thread records; another may read only
/// when that one has stopped. Memory, 229 kB, is taken once, when it is made.
///
/// The layout is that of HdrHistogram for a lowest discernible value of 1 and
/// three significant digits (Gil Tene, https://hdrhistogram.org): bucket k has
/// 2048 sub-buckets of width 2^k, and as the lower half of them is covered by
/// the buckets before it, every bucket but the first keeps the upper 1024 only.
///
/// A copy is a copy; there is no moving, hence no empty shell to record into.
class Histogram {
 public:
  static constexpr std::size_t sub_bucket_count = 2048;
  static constexpr std::size_t bucket_count = 27;
  /// How many counts there are.
  static constexpr std::size_t size =
      (bucket_count + 1) * (sub_bucket_count / 2);
  /// In nanoseconds, 137 s. A larger sample is recorded as this one and counts
  /// as this one everywhere: max() == highest means "that, or more".
  static constexpr std::int64_t highest =
      (std::int64_t{sub_bucket_count} << (bucket_count - 1)) - 1;
  /// So many samples have to lie beyond a percentile that is reported.
  static constexpr std::uint64_t beyond_min = 10;

  Histogram() : counts_(size) {}
  /// Of what counts(), min() and max() said elsewhere: in another process, on
  /// another host. As assign().
  Histogram(std::span<const std::uint64_t> counts, std::int64_t min_ns,
            std::int64_t max_ns);
  Histogram(const Histogram&) = default;
  Histogram& operator=(const Histogram&) = default;
  ~Histogram() = default;

  /// A negative sample counts as 0, one above highest as highest. Costs a few
  /// nanoseconds (record_cost.cpp), as it comes between two requests. Returns
  /// its place in counts().
  std::size_t record(std::int64_t value_ns) noexcept {
    return record(value_ns, 1);
  }
  /// As often as `times` says, once or more.
  std::size_t record(std::int64_t value_ns, std::uint64_t times) noexcept {
    std::int64_t value = value_ns;
    if (static_cast<std::uint64_t>(value) > highest) [[unlikely]]
      value = value < 0 ? 0 : highest;
    const std::size_t place = index_of(value);
    counts_[place] += times;
    count_ += times;
    min_ns_ = std::min(min_ns_, value);
    max_ns_ = std::max(max_ns_, value);
    return place;
  }

  /// Afterwards this is, bit for bit, the histogram of all samples of both.
  /// std::overflow_error if they are more than 2^64, and nothing is added.
  void add(const Histogram& other);

  /// Replaces everything. counts: as from counts(), or the sum of several,
  /// place by place; min and max: the least and the greatest of theirs. What
  /// is empty gives neutral ones, so that a reduction needs no exception for
  /// it. Throws std::invalid_argument, and changes nothing, if the number of
  /// counts is not size, their sum is beyond 2^64, or the extremes do not lie
  /// in the first and the last bucket that has samples.
  void assign(std::span<const std::uint64_t> counts, std::int64_t min_ns,
              std::int64_t max_ns);

  std::uint64_t count() const { return count_; }
  /// The extremes in nanoseconds, exact, not rounded to a bucket. Of an empty
  /// histogram: min is highest, max is 0.
  std::int64_t min() const { return min_ns_; }
  std::int64_t max() const { return max_ns_; }
  /// In nanoseconds, each sample taken as the middle of its bucket, as
  /// HdrHistogram does it; 0 of an empty histogram.
  double mean() const;
  double standard_deviation() const;

  /// The highest value, in nanoseconds, that cannot be told from the sample at
  /// that percentile (0 to 100; what is outside counts as the end next to it);
  /// at 0, the lowest that cannot be told from the least sample; 0 of an empty
  /// histogram. As a bucket's end it may be above max().
  std::int64_t value_at(double percentile) const;
  /// The same, or nothing when fewer than beyond_min samples rank beyond the
  /// percentile: then one more run would say something else. 99.9 wants 10 000
  /// samples, and 100 is never reported: that is max().
  std::optional<std::int64_t> reported(double percentile) const;

  /// By bucket, size of them, in order of their values; owned by this.
  std::span<const std::uint64_t> counts() const { return counts_; }
  /// The place in counts() of a value between 0 and highest.
  static constexpr std::size_t index_of(std::int64_t value_ns) {
    const auto value = static_cast<std::uint64_t>(value_ns);
    // The place of the highest bit is one instruction so; by bit_width() g++
    // 12 takes five, and a record twice the time.
    const auto top = static_cast<std::uint64_t>(
        63 ^ std::countl_zero(value | (sub_bucket_count - 1)));
    const std::uint64_t bucket = top - half_bits;
    return bucket * (sub_bucket_count / 2) + (value >> bucket);
  }
  /// The least and the greatest value with that place, below size.
  static constexpr std::int64_t lowest_at(std::size_t index) {
    const std::size_t bucket = bucket_of(index);
    return static_cast<std::int64_t>(index - bucket * (sub_bucket_count / 2))
           << bucket;
  }
  static constexpr std::int64_t highest_at(std::size_t index) {
    return lowest_at(index) + (std::int64_t{1} << bucket_of(index)) - 1;
  }

  /// The same counts and the same extremes.
  friend bool operator==(const Histogram&, const Histogram&) = default;

 private:
  static constexpr std::size_t half_bits = 10;  // of sub_bucket_count / 2
  static constexpr std::size_t bucket_of(std::size_t index) {
    return std::max(index / (sub_bucket_count / 2), std::size_t{1}) - 1;
  }
  std::uint64_t rank_of(double percentile) const;

  std::vector<std::uint64_t> counts_;  // size of them, always
  std::uint64_t count_ = 0;            // their sum
  std::int64_t min_ns_ = highest;
  std::int64_t max_ns_ = 0;
};

/// In which values stand in a file. All are exact: a nanosecond is a digit.
enum class Unit { nanoseconds, microseconds, milliseconds };

/// Writes the text that HdrHistogram calls the percentile distribution, which
/// gnuplot and HdrHistogram's plotters draw as it is. It has a line for every
/// bucket with samples, not for chosen percentiles, so that reading it gives
/// the same histogram, and two lines at the end that are ours: the least value
/// with the unit, and a check of all that stands above. Whether it could be
/// written, the stream says.
void write_hgrm(std::ostream& out, const Histogram& histogram,
                Unit unit = Unit::microseconds);

/// Reads what write_hgrm() wrote, to the end of the stream, and nothing else:
/// what is merged from a file that is damaged, cut off or made by somebody who
/// left lines out would look like a measurement. std::runtime_error, with the
/// line and the reason, for all that.
Histogram read_hgrm(std::istream& in);

}  // namespace load
