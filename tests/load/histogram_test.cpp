#include "bench/load/histogram.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>

#include "tests/load/golden/expected.hpp"

namespace {

using load::Histogram;
using load::Unit;
using Counts = std::vector<std::uint64_t>;

// splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

// ---- the distributions of golden/expect.mjs, step by step

std::uint64_t uniform(Random& random) { return 1 + random.next() % 10'000'000; }

std::uint64_t exponential(Random& random) {
  const std::uint64_t bits = random.next() | 1;
  const auto zeros = static_cast<unsigned>(std::countl_zero(bits));
  const std::uint64_t fraction = (bits << zeros << 1) >> 48;
  return (std::uint64_t{zeros + 1} << 16) - fraction;
}

std::uint64_t log_normal(Random& random) {
  std::uint64_t power = 10 << 16;
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t bits = random.next();
    for (int shift = 0; shift < 64; shift += 16)
      power += bits >> shift & 0xffff;
  }
  return (0x10000 + (power & 0xffff)) << (power >> 16) >> 16;
}

std::uint64_t bimodal(Random& random) {
  const bool slow = random.next() % 10 == 0;
  const std::uint64_t bits = random.next();
  return slow ? 5'000'000 + bits % 1'000'000 : 20'000 + bits % 5'000;
}

std::uint64_t outliers(Random& random) {
  const std::uint64_t bits = random.next();
  return bits % 1000 == 0 ? std::uint64_t{1} << (20 + (bits >> 32) % 17)
                          : 25'000;
}

using Distribution = std::uint64_t (*)(Random&);
const std::map<std::string, Distribution> distributions = {
    {"uniform", uniform},
    {"exponential", exponential},
    {"log_normal", log_normal},
    {"bimodal", bimodal},
    {"outliers", outliers}};

std::int64_t sample(Distribution distribution, Random& random) {
  return static_cast<std::int64_t>(distribution(random));
}

Histogram of(std::initializer_list<std::int64_t> values) {
  Histogram histogram;
  for (const std::int64_t value : values) histogram.record(value);
  return histogram;
}

// ---- buckets

TEST(Buckets, begin_and_end_where_those_of_hdrhistogram_do) {
  EXPECT_EQ(Histogram::size, 28'672u);
  EXPECT_EQ(Histogram::highest, (std::int64_t{1} << 37) - 1);
  EXPECT_EQ(Histogram::index_of(0), 0u);
  EXPECT_EQ(Histogram::index_of(2'047), 2'047u);
  EXPECT_EQ(Histogram::index_of(2'048), 2'048u);
  EXPECT_EQ(Histogram::index_of(2'049), 2'048u);
  EXPECT_EQ(Histogram::index_of(2'050), 2'049u);
  EXPECT_EQ(Histogram::index_of(4'095), 3'071u);
  EXPECT_EQ(Histogram::index_of(4'096), 3'072u);
  EXPECT_EQ(Histogram::index_of(4'099), 3'072u);
  EXPECT_EQ(Histogram::index_of(4'100), 3'073u);
  EXPECT_EQ(Histogram::index_of(std::int64_t{1} << 36), 27'648u);
  EXPECT_EQ(Histogram::index_of(Histogram::highest), Histogram::size - 1);
}

TEST(Buckets, cover_the_range_without_a_gap) {
  std::int64_t next = 0;
  for (std::size_t i = 0; i < Histogram::size; ++i) {
    ASSERT_EQ(Histogram::lowest_at(i), next);
    ASSERT_EQ(Histogram::index_of(Histogram::lowest_at(i)), i);
    ASSERT_EQ(Histogram::index_of(Histogram::highest_at(i)), i);
    next = Histogram::highest_at(i) + 1;
  }
  EXPECT_EQ(next, Histogram::highest + 1);
}

TEST(Buckets, are_a_thousandth_of_their_value_wide_at_most) {
  for (std::size_t i = Histogram::sub_bucket_count; i < Histogram::size; ++i) {
    const std::int64_t lowest = Histogram::lowest_at(i);
    ASSERT_LE((Histogram::highest_at(i) - lowest + 1) * 1'000, lowest);
  }
}

TEST(Buckets, values_of_one_bucket_are_equal_to_it) {
  const Histogram histogram = of({1'000'448, 1'000'959, 1'000'960});
  const std::size_t index = Histogram::index_of(1'000'448);
  EXPECT_EQ(histogram.counts()[index], 2u);
  EXPECT_EQ(histogram.counts()[index + 1], 1u);
  EXPECT_EQ(histogram.value_at(0), 1'000'448);
  EXPECT_EQ(histogram.value_at(50), 1'000'959);
  EXPECT_EQ(histogram.value_at(100), 1'001'471);
  EXPECT_EQ(histogram.min(), 1'000'448);
  EXPECT_EQ(histogram.max(), 1'000'960);
}

// ---- recording

TEST(Histogram, of_nothing_says_nothing) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min(), Histogram::highest);
  EXPECT_EQ(histogram.max(), 0);
  EXPECT_EQ(histogram.mean(), 0);
  EXPECT_EQ(histogram.standard_deviation(), 0);
  for (const double percentile : golden::percentiles) {
    EXPECT_EQ(histogram.value_at(percentile), 0);
    EXPECT_EQ(histogram.reported(percentile), std::nullopt);
  }
}

TEST(Histogram, takes_a_negative_sample_for_0) {
  const Histogram histogram =
      of({-1, std::numeric_limits<std::int64_t>::min()});
  EXPECT_EQ(histogram, of({0, 0}));
  EXPECT_EQ(histogram.counts()[0], 2u);
  EXPECT_EQ(histogram.min(), 0);
}

TEST(Histogram, takes_a_sample_beyond_the_range_for_the_highest) {
  const Histogram histogram =
      of({Histogram::highest + 1, std::numeric_limits<std::int64_t>::max(), 7});
  EXPECT_EQ(histogram, of({Histogram::highest, Histogram::highest, 7}));
  EXPECT_EQ(histogram.counts().back(), 2u);
  EXPECT_EQ(histogram.max(), Histogram::highest);
  EXPECT_EQ(histogram.value_at(50), Histogram::highest);
}

TEST(Histogram, keeps_its_samples_when_it_is_moved_from) {
  Histogram histogram = of({5});
  // NOLINTNEXTLINE(performance-move-const-arg): that nothing moves is the point
  const Histogram other = std::move(histogram);
  histogram.record(6);  // NOLINT(bugprone-use-after-move): and this works
  EXPECT_EQ(histogram, of({5, 6}));
  EXPECT_EQ(other, of({5}));
}

// ---- percentiles

TEST(Percentiles, are_those_of_hdr_histogram_js) {
  std::uint64_t seed = 0;
  for (const golden::Expected& expected : golden::expected) {
    SCOPED_TRACE(expected.distribution);
    const Distribution distribution = distributions.at(expected.distribution);
    Random random(++seed);
    Histogram histogram;
    for (std::uint64_t i = 0; i < expected.count; ++i)
      histogram.record(sample(distribution, random));
    for (std::size_t i = 0; i < golden::percentiles.size(); ++i)
      EXPECT_EQ(histogram.value_at(golden::percentiles[i]), expected.values[i])
          << "at " << golden::percentiles[i];
    EXPECT_EQ(histogram.count(), expected.count);
    EXPECT_EQ(histogram.max(), expected.max);
    EXPECT_DOUBLE_EQ(histogram.mean(), expected.mean);
    EXPECT_DOUBLE_EQ(histogram.standard_deviation(),
                     expected.standard_deviation);
  }
}

// Of the values 1 to n, each has a bucket of its own and is its own rank.
TEST(Percentiles, are_not_one_off_where_the_product_is_rounded) {
  Histogram histogram;
  int pitfalls = 0;
  for (std::int64_t n = 1; n < 2'000; ++n) {
    histogram.record(n);
    const std::int64_t rank = (999 * n + 999) / 1'000;
    ASSERT_EQ(histogram.value_at(99.9), rank) << "of " << n;
    pitfalls += std::ceil(99.9 / 100 * static_cast<double>(n)) >
                static_cast<double>(rank);
  }
  EXPECT_GT(pitfalls, 0) << "then nothing has been tested";
}

TEST(Percentiles, outside_are_the_ends) {
  const Histogram histogram = of({3'000, 5'000, 9'000});
  EXPECT_EQ(histogram.value_at(-1), histogram.value_at(0));
  EXPECT_EQ(histogram.value_at(std::nan("")), histogram.value_at(0));
  EXPECT_EQ(histogram.value_at(101), histogram.value_at(100));
}

TEST(Percentiles, are_reported_with_ten_samples_beyond) {
  const std::map<double, std::uint64_t> needed = {
      {50, 20}, {90, 100}, {99, 1'000}, {99.9, 10'000}, {99.99, 100'000}};
  for (const auto& [percentile, count] : needed) {
    Histogram histogram;
    for (std::uint64_t i = 1; i < count; ++i) histogram.record(1'000);
    EXPECT_EQ(histogram.reported(percentile), std::nullopt) << percentile;
    histogram.record(1'000);
    EXPECT_EQ(histogram.reported(percentile), 1'000) << percentile;
    EXPECT_EQ(histogram.reported(100), std::nullopt);
  }
}

// ---- adding

TEST(Adding, is_recording_all_of_it) {
  Histogram sum = of({1, 70'000}), other = of({0, 70'001, 1'000'000});
  sum.add(other);
  EXPECT_EQ(sum, of({0, 1, 70'000, 70'001, 1'000'000}));
  EXPECT_EQ(other, of({0, 70'001, 1'000'000}));
  sum.add(Histogram());
  EXPECT_EQ(sum, of({0, 1, 70'000, 70'001, 1'000'000}));
  Histogram empty;
  empty.add(other);
  EXPECT_EQ(empty, other);
  other.add(other);
  EXPECT_EQ(other, of({0, 0, 70'001, 70'001, 1'000'000, 1'000'000}));
}

TEST(Adding, does_not_overflow) {
  Counts counts(Histogram::size);
  counts[3] = std::numeric_limits<std::uint64_t>::max();
  Histogram full(counts, 3, 3);
  EXPECT_EQ(full.value_at(100), 3);
  EXPECT_EQ(full.value_at(50), 3);
  const Histogram before = full;
  EXPECT_THROW(full.add(of({7})), std::overflow_error);
  EXPECT_EQ(full, before);
}

// As MPI_Reduce does it: by sum, by min, by max; one rank had no samples.
TEST(Assigning, takes_what_a_reduction_gives) {
  const Histogram parts[] = {of({5, 100'000}), Histogram(), of({4, 90'001})};
  Counts counts(Histogram::size);
  std::int64_t min = Histogram::highest, max = 0;
  for (const Histogram& part : parts) {
    std::ranges::transform(counts, part.counts(), counts.begin(),
                           std::plus<>());
    min = std::min(min, part.min());
    max = std::max(max, part.max());
  }
  EXPECT_EQ(Histogram(counts, min, max), of({4, 5, 90'001, 100'000}));
  Histogram again = of({1, 2, 3});
  again.assign(counts, min, max);
  EXPECT_EQ(again, of({4, 5, 90'001, 100'000}));
  again.assign(Counts(Histogram::size), Histogram::highest, 0);
  EXPECT_EQ(again, Histogram());
}

TEST(Assigning, refuses_what_no_histogram_has) {
  const Histogram before = of({5, 70'001});
  Histogram histogram = before;
  Counts counts(before.counts().begin(), before.counts().end());
  const auto refuses = [&](std::int64_t min, std::int64_t max) {
    EXPECT_THROW(histogram.assign(counts, min, max), std::invalid_argument);
    EXPECT_EQ(histogram, before);
  };
  refuses(4, 70'001);
  refuses(6, 70'001);
  refuses(5, 69'951);
  refuses(5, 70'016);
  counts[5] = std::numeric_limits<std::uint64_t>::max();
  refuses(5, 70'001);
  counts.assign(before.counts().begin(), before.counts().end());
  counts.push_back(0);
  refuses(5, 70'001);
  counts.resize(Histogram::size - 1);
  refuses(5, 70'001);
  counts.assign(Histogram::size, 0);
  counts[Histogram::index_of(70'001)] = 2;
  refuses(70'002, 70'001);
}

// ---- .hgrm

std::string written(const Histogram& histogram,
                    Unit unit = Unit::microseconds) {
  std::ostringstream out;
  write_hgrm(out, histogram, unit);
  return out.str();
}

Histogram read(const std::string& text) {
  std::istringstream in(text);
  return load::read_hgrm(in);
}

// What it says of a text that it does not take.
std::string refusal(const std::string& text) {
  try {
    read(text);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "taken";
}

const char* const five =
    R"(       Value     Percentile TotalCount 1/(1-Percentile)

       0.007 0.400000000000          2           1.67
       2.049 0.600000000000          3           2.50
      70.015 0.800000000000          4           5.00
    1000.447 1.000000000000          5
#[Mean    =      214.448, StdDeviation   =      393.788]
#[Max     =     1000.000, Total count    =            5]
#[Buckets =           27, SubBuckets     =         2048]
#[Min     =        0.007, Unit           =           us]
#[Check   = CHECK]
)";

TEST(Hgrm, is_the_text_that_plotters_know) {
  const std::string text = written(of({7, 7, 2'048, 70'001, 1'000'000}));
  std::string expected = five;
  expected.replace(expected.find("CHECK"), 5,
                   text.substr(text.find("Check   = ") + 10, 16));
  EXPECT_EQ(text, expected);
}

TEST(Hgrm, knows_three_units) {
  const Histogram histogram = of({7, 1'234'567, Histogram::highest});
  const auto contains = [&](Unit unit, const char* part) {
    EXPECT_NE(written(histogram, unit).find(part), std::string::npos) << part;
    EXPECT_EQ(read(written(histogram, unit)), histogram);
  };
  contains(Unit::nanoseconds, "\n       7.000 0.333");
  contains(Unit::nanoseconds, "\n 1234943.000 0.666");
  contains(Unit::microseconds, "\n    1234.943 0.666");
  contains(Unit::milliseconds, "\n    1.234943 0.666");
  contains(Unit::milliseconds, "\n    0.000007 0.333");
}

TEST(Hgrm, of_nothing_comes_back) {
  EXPECT_EQ(read(written(Histogram())), Histogram());
}

TEST(Hgrm, comes_back_with_as_many_samples_as_can_be_counted) {
  Counts counts(Histogram::size);
  counts[0] = 1;
  counts.back() = std::numeric_limits<std::uint64_t>::max() - 1;
  const Histogram full(counts, 0, Histogram::highest);
  for (const Unit unit :
       {Unit::nanoseconds, Unit::microseconds, Unit::milliseconds})
    EXPECT_EQ(read(written(full, unit)), full);
}

TEST(Hgrm, comes_back_with_every_bucket_taken) {
  Histogram histogram;
  for (std::size_t i = 0; i < Histogram::size; ++i)
    histogram.record(Histogram::lowest_at(i));
  EXPECT_EQ(read(written(histogram)), histogram);
}

// Bit for bit one histogram of all samples, whatever the order.
TEST(Hgrm, merges_four_parts_in_any_order) {
  Random random(4711);
  Histogram all;
  std::array<Histogram, 4> parts;
  for (int i = 0; i < 20'000; ++i) {
    const std::int64_t value =
        sample(outliers, random) + sample(log_normal, random);
    all.record(value);
    parts[random.next() % parts.size()].record(value);
  }
  for (Histogram& part : parts) part = read(written(part));
  std::array<std::size_t, 4> order = {0, 1, 2, 3};
  do {
    Histogram merged;
    for (const std::size_t part : order) merged.add(parts[part]);
    ASSERT_EQ(merged, all);
  } while (std::ranges::next_permutation(order).found);
}

TEST(Hgrm, that_was_written_is_read_to_its_end) {
  const std::string text = written(of({7, 70'001}));
  EXPECT_EQ(refusal(text), "taken");
  for (std::size_t size = 0; size < text.size(); ++size)
    ASSERT_TRUE(refusal(text.substr(0, size)).starts_with("line ")) << size;
  EXPECT_EQ(refusal(text + "\n"),
            "line 10: the file ends here, without its check");
  EXPECT_NE(refusal(text + text), "taken");
}

TEST(Hgrm, with_one_wrong_byte_is_refused) {
  const std::string text = written(of({7, 7, 2'049, 70'001, 70'002}));
  for (std::size_t i = 0; i < text.size(); ++i)
    for (const char byte : std::string_view("09 .]\n\0Z", 8)) {
      if (byte == text[i]) continue;
      std::string damaged = text;
      damaged[i] = byte;
      ASSERT_TRUE(refusal(damaged).starts_with("line ")) << damaged;
    }
}

struct Damage {
  const char* part;
  const char* instead;
  const char* why;
};

const Damage damages[] = {
    {"       Value", "Value", "line 1: this is not a percentile distribution"},
    {"0.007 0.4", "0.007x 0.4", "line 3: this is not a value in us"},
    {"0.007 0.4", "0:007 0.4", "line 3: this is not a value in us"},
    {"0.007 0.4", "0.-07 0.4", "line 3: this is not a value in us"},
    {"0.007 0.4", "0.007000 0.4", "line 3: this is not a value in us"},
    {"   70.015", "   70.014", "line 5: the value is not the end of a bucket"},
    {"   70.015", "137438953.472", "line 5: the value is beyond the range"},
    {"   70.015", "    2.049", "line 5: the value does not rise"},
    {"   70.015", "    0.011", "line 5: the value does not rise"},
    {"         4 ", "         x ", "line 5: this is not a count"},
    {"         4 ", "           ", "line 5: this is not a count"},
    {"         4 ", "         3 ", "line 5: the count does not rise"},
    {"         2 ", "         0 ", "line 3: the count does not rise"},
    {"         4 ", "4294967296 ", "line 6: the count does not rise"},
    {"         4 ", "18446744073709551616 ", "line 5: this is not a count"},
    {"0.600000000000", "0.600000000001",
     "line 4: expected \"       2.049 0.600000000000          3           "
     "2.50\""},
    {"           5]", "           6]",
     "line 8: the total is not the sum of the counts"},
    {"          5\n", "          6\n",
     "line 8: the total is not the sum of the counts"},
    {"Max     =     1000.000", "Max     =     1000.448",
     "line 8: Max lies in another bucket"},
    {"Max     =     1000.000", "Max              1000.000",
     "line 8: this is not a value in us"},
    {"Min     =        0.007", "Min     =        0.006",
     "line 10: Min lies in another bucket"},
    {"         27,", "         26,",
     "line 9: expected \"#[Buckets =           27, SubBuckets     =         "
     "2048]\""},
    {"       us]", "        s]", "line 10: there is no such unit"},
    {"       us]", "       ns]", "line 3: this is not a value in ns"},
    {"214.448", "214.449",
     "line 11: the check does not belong to what stands above"},
    {"1000.000", "1000.001",
     "line 11: the check does not belong to what stands above"},
    {"Check   = ", "Check   = 0",
     "line 11: the check does not belong to what stands above"},
    {"#[Check ", "#[check ", "line 11: the file ends here, without its check"}};

TEST(Hgrm, that_is_damaged_is_refused_with_the_reason) {
  const std::string text = written(of({7, 7, 2'048, 70'001, 1'000'000}));
  for (const auto& [part, instead, why] : damages) {
    std::string damaged = text;
    const std::size_t at = damaged.find(part);
    ASSERT_NE(at, damaged.npos) << part;
    damaged.replace(at, std::string_view(part).size(), instead);
    EXPECT_EQ(refusal(damaged), why) << damaged;
  }
}

TEST(Hgrm, has_its_least_value_below_its_greatest) {
  std::string text = written(of({70'001, 70'002}));
  const std::size_t at = text.find("Min     =       70.001");
  ASSERT_NE(at, text.npos);
  text.replace(at, 22, "Min     =       70.003");
  EXPECT_EQ(refusal(text), "line 7: the least value is above the greatest");
}

TEST(Hgrm, that_has_no_end_is_not_read_to_its_end) {
  std::string endless;
  endless.resize(10'000'000, ' ');
  EXPECT_EQ(refusal(endless), "line 1: the file is too long for a histogram");
}

TEST(Hgrm, that_cannot_be_read_is_refused) {
  std::istringstream in("       Value\n");
  in.setstate(std::ios::badbit);
  try {
    load::read_hgrm(in);
    ADD_FAILURE() << "taken";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "line 1: the rest cannot be read");
  }
}

}  // namespace
