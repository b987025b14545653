#include "bench/load/histogram.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <istream>
#include <limits>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace load {
namespace {

constexpr std::uint64_t count_max = std::numeric_limits<std::uint64_t>::max();

double middle_at(std::size_t index) {
  const std::int64_t lowest = Histogram::lowest_at(index);
  const std::int64_t half = (Histogram::highest_at(index) - lowest + 1) / 2;
  return static_cast<double>(lowest + half);
}

}  // namespace

Histogram::Histogram(std::span<const std::uint64_t> counts, std::int64_t min_ns,
                     std::int64_t max_ns)
    : Histogram() {
  assign(counts, min_ns, max_ns);
}

void Histogram::add(const Histogram& other) {
  if (other.count_ > count_max - count_)
    throw std::overflow_error("more than 2^64 samples");
  for (std::size_t i = 0; i < size; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  min_ns_ = std::min(min_ns_, other.min_ns_);
  max_ns_ = std::max(max_ns_, other.max_ns_);
}

void Histogram::assign(std::span<const std::uint64_t> counts,
                       std::int64_t min_ns, std::int64_t max_ns) {
  if (counts.size() != size)
    throw std::invalid_argument("a histogram has " + std::to_string(size) +
                                " counts, not " +
                                std::to_string(counts.size()));
  std::uint64_t sum = 0;
  std::size_t first = size, last = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (counts[i] == 0) continue;
    if (counts[i] > count_max - sum)
      throw std::invalid_argument("more than 2^64 samples");
    sum += counts[i];
    first = std::min(first, i);
    last = i;
  }
  if (sum == 0) {
    min_ns = highest;
    max_ns = 0;
  } else if (min_ns > max_ns || min_ns < lowest_at(first) ||
             min_ns > highest_at(first) || max_ns < lowest_at(last) ||
             max_ns > highest_at(last)) {
    throw std::invalid_argument("the extremes do not belong to the counts");
  }
  std::ranges::copy(counts, counts_.begin());
  count_ = sum;
  min_ns_ = min_ns;
  max_ns_ = max_ns;
}

// In floating point and in this order, as HdrHistogram has it.
double Histogram::mean() const {
  if (count_ == 0) return 0;
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i)
    if (counts_[i] > 0) sum += middle_at(i) * static_cast<double>(counts_[i]);
  return sum / static_cast<double>(count_);
}

double Histogram::standard_deviation() const {
  if (count_ == 0) return 0;
  const double center = mean();
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (counts_[i] == 0) continue;
    const double distance = middle_at(i) - center;
    sum += distance * distance * static_cast<double>(counts_[i]);
  }
  return std::sqrt(sum / static_cast<double>(count_));
}

// Which sample, in order of their values and counted from 1, stands at the
// percentile: part * count, rounded up. 99.9 / 100 is not exactly 0.999, so of
// 1000 samples the product may be a little above 999, and rounding up gives the
// sample after. HdrHistogram's getValueAtPercentile() takes one unit in the
// last place off first, and so do we.
std::uint64_t Histogram::rank_of(double percentile) const {
  if (!(percentile > 0)) percentile = 0;  // "not a number" also ends here
  const double exact =
      std::min(percentile, 100.0) / 100.0 * static_cast<double>(count_);
  const double unit =
      std::nextafter(exact, std::numeric_limits<double>::infinity()) - exact;
  const auto rank = static_cast<std::uint64_t>(std::ceil(exact - unit));
  return std::min(std::max(rank, std::uint64_t{1}), count_);
}

std::int64_t Histogram::value_at(double percentile) const {
  if (count_ == 0) return 0;
  const std::uint64_t rank = rank_of(percentile);
  std::size_t index = 0;
  for (std::uint64_t sum = counts_[0]; sum < rank; sum += counts_[index])
    ++index;
  return percentile > 0 ? highest_at(index) : lowest_at(index);
}

std::optional<std::int64_t> Histogram::reported(double percentile) const {
  if (count_ - rank_of(percentile) < beyond_min) return std::nullopt;
  return value_at(percentile);
}

// ---- .hgrm ------------------------------------------------------------------

namespace {

// Behind the point stand the digits down to a nanosecond, but at least the
// three that HdrHistogram writes.
struct Scale {
  const char* name;
  std::int64_t ns;
  int places;
};
constexpr std::array<Scale, 3> scales{
    {{"ns", 1, 3}, {"us", 1'000, 3}, {"ms", 1'000'000, 6}}};

constexpr std::string_view header =
    "       Value     Percentile TotalCount 1/(1-Percentile)";
constexpr std::size_t head_lines = 2;  // the header and an empty line
constexpr std::size_t foot_lines = 5;
// Of a line: a value, a percentile and two numbers with at most 20 digits.
constexpr std::size_t line_max = 120;
constexpr std::size_t text_max =
    (Histogram::size + head_lines + foot_lines) * line_max;

template <class... Arguments>
std::string print(const char* format, Arguments... arguments) {
  std::array<char, line_max + 1> room;
  std::snprintf(room.data(), room.size(), format, arguments...);
  return room.data();
}

std::string padded(const std::string& text, std::size_t width, char filler) {
  return std::string(width - std::min(width, text.size()), filler) + text;
}

std::string value_text(std::int64_t value, const Scale& scale) {
  const std::string text = std::to_string(value / scale.ns) + "." +
                           padded(std::to_string(value % scale.ns),
                                  static_cast<std::size_t>(scale.places), '0');
  return padded(text, 12, ' ');
}

// The last column is total / (total - sum): the same as 1 / (1 - percentile)
// without its cancellation. The last line of all has none.
std::string line_text(std::int64_t value, const Scale& scale, std::uint64_t sum,
                      std::uint64_t total) {
  const auto part = static_cast<double>(sum);
  const auto whole = static_cast<double>(total);
  std::string line =
      value_text(value, scale) + print(" %2.12f %10llu", part / whole,
                                       static_cast<unsigned long long>(sum));
  if (sum < total)
    line += print(" %14.2f", whole / static_cast<double>(total - sum));
  return line + "\n";
}

std::string foot_text(const Histogram& histogram, const Scale& scale) {
  const auto unit = static_cast<double>(scale.ns);
  return print("#[Mean    = %12.*f, StdDeviation   = %12.*f]\n", scale.places,
               histogram.mean() / unit, scale.places,
               histogram.standard_deviation() / unit) +
         print("#[Max     = %s, Total count    = %12llu]\n",
               value_text(histogram.max(), scale).c_str(),
               static_cast<unsigned long long>(histogram.count())) +
         print("#[Buckets = %12zu, SubBuckets     = %12zu]\n",
               Histogram::bucket_count, Histogram::sub_bucket_count) +
         print("#[Min     = %s, Unit           = %12s]\n",
               value_text(histogram.min(), scale).c_str(), scale.name);
}

// Everything but the check.
std::string text_of(const Histogram& histogram, const Scale& scale) {
  std::string text(header);
  text += "\n\n";
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < Histogram::size; ++i) {
    if (histogram.counts()[i] == 0) continue;
    sum += histogram.counts()[i];
    text += line_text(Histogram::highest_at(i), scale, sum, histogram.count());
  }
  return text + foot_text(histogram, scale);
}

// FNV-1a with 64 bits (Fowler, Noll, Vo). Against accidents, not against
// forgers; a single wrong byte never escapes it, as every step can be undone.
std::string check_text(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : text)
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return print("#[Check   = %016llx]", static_cast<unsigned long long>(hash));
}

[[noreturn]] void fail(std::size_t line, const std::string& why) {
  throw std::runtime_error("line " + std::to_string(line) + ": " + why);
}

std::size_t last_line(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
}

std::string read_all(std::istream& in) {
  std::string text;
  std::array<char, 4096> room;
  while (in.read(room.data(), room.size()), in.gcount() > 0) {
    text.append(room.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > text_max)
      fail(last_line(text), "the file is too long for a histogram");
  }
  if (in.bad()) fail(last_line(text), "the rest cannot be read");
  return text;
}

using Lines = std::vector<std::string_view>;

Lines split(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == text.npos) fail(lines.size(), "the line is cut off");
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::optional<std::uint64_t> number_of(std::string_view digits) {
  std::uint64_t number = 0;
  const char* const begin = digits.data();
  const char* const end = begin + digits.size();
  const auto [at, error] = std::from_chars(begin, end, number);
  if (digits.empty() || error != std::errc() || at != end) return std::nullopt;
  return number;
}

// The text up to the delimiter, without blanks around it; that and the
// delimiter are taken from the front of the rest.
std::string_view take(std::string_view& rest, char delimiter) {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const std::string_view word = rest.substr(0, rest.find(delimiter));
  rest.remove_prefix(std::min(word.size() + 1, rest.size()));
  return word;
}

// What stands behind the name and its '=' in a line of the foot.
std::string_view field(std::string_view line, std::string_view name) {
  const std::size_t at = line.find(name);
  if (at == line.npos) return {};
  std::string_view rest = line.substr(at + name.size());
  take(rest, '=');
  const std::string_view word = take(rest, ',');
  return word.substr(0, word.find(']'));
}

// One file. What its numbers mean is found out first, so that a mistake is
// named where it is; afterwards every line has to be as write_hgrm() writes it.
class Hgrm {
 public:
  explicit Hgrm(std::istream& in) : text_(read_all(in)), lines_(split(text_)) {
    if (lines_.empty() || lines_[0] != header)
      fail(1, "this is not a percentile distribution");
    if (lines_.size() < head_lines + foot_lines ||
        !lines_.back().starts_with("#[Check "))
      fail(lines_.size(), "the file ends here, without its check");
    const std::string_view unit = field(foot(min_line), "Unit");
    const auto scale = std::ranges::find(scales, unit, &Scale::name);
    if (scale == scales.end()) fail(number(min_line), "there is no such unit");
    scale_ = *scale;
  }
  Hgrm(const Hgrm&) = delete;
  Hgrm& operator=(const Hgrm&) = delete;

  Histogram read() const {
    std::vector<std::uint64_t> counts(Histogram::size);
    std::uint64_t sum = 0;
    std::size_t first = Histogram::size, last = 0;
    for (std::size_t i = head_lines; i < lines_.size() - foot_lines; ++i) {
      const auto [value, count] = bucket(i);
      const std::size_t index = Histogram::index_of(value);
      if (sum > 0 && index <= last) fail(i + 1, "the value does not rise");
      if (count <= sum) fail(i + 1, "the count does not rise");
      counts[index] = count - sum;
      sum = count;
      first = std::min(first, index);
      last = index;
    }
    if (number_of(field(foot(max_line), "Total count")) != sum)
      fail(number(max_line), "the total is not the sum of the counts");
    const std::int64_t min = extreme(min_line, "Min", first);
    const std::int64_t max = extreme(max_line, "Max", last);
    if (sum > 0 && min > max)
      fail(number(min_line), "the least value is above the greatest");
    const Histogram histogram(counts, min, max);
    compare(histogram);
    return histogram;
  }

 private:
  // Lines of the foot, counted from the end.
  enum Foot : std::size_t { check_line = 1, min_line, buckets_line, max_line };
  struct Bucket {
    std::int64_t value;
    std::uint64_t count;  // up to and with this one
  };

  std::size_t number(Foot line) const { return lines_.size() - line + 1; }
  std::string_view foot(Foot line) const { return lines_[number(line) - 1]; }

  std::int64_t value(std::string_view text, std::size_t line) const {
    const std::size_t point = std::min(text.find('.'), text.size());
    std::string digits(text);
    digits.erase(point, 1);
    const auto number = number_of(digits);
    const std::uint64_t parts = scale_.ns == 1 ? 1'000 : 1;  // of a nanosecond
    if (text.size() - point != static_cast<std::size_t>(scale_.places) + 1 ||
        !number || *number % parts != 0)
      fail(line, "this is not a value in " + std::string(scale_.name));
    if (*number / parts > static_cast<std::uint64_t>(Histogram::highest))
      fail(line, "the value is beyond the range");
    return static_cast<std::int64_t>(*number / parts);
  }

  Bucket bucket(std::size_t i) const {
    std::string_view rest = lines_[i];
    const std::int64_t ns = value(take(rest, ' '), i + 1);
    if (Histogram::highest_at(Histogram::index_of(ns)) != ns)
      fail(i + 1, "the value is not the end of a bucket");
    take(rest, ' ');
    const auto count = number_of(take(rest, ' '));
    if (!count) fail(i + 1, "this is not a count");
    return {ns, *count};
  }

  // The extreme, which lies in the bucket with that index, if there is one.
  std::int64_t extreme(Foot line, std::string_view name,
                       std::size_t index) const {
    const std::int64_t ns = value(field(foot(line), name), number(line));
    if (lines_.size() > head_lines + foot_lines &&
        Histogram::index_of(ns) != index)
      fail(number(line), std::string(name) + " lies in another bucket");
    return ns;
  }

  // Not the line with the mean: another machine may round its last digit
  // otherwise. The check has it.
  void compare(const Histogram& histogram) const {
    const std::string written = text_of(histogram, scale_);
    const Lines expected = split(written);
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (lines_[i] != expected[i] && !expected[i].starts_with("#[Mean "))
        fail(i + 1, "expected \"" + std::string(expected[i]) + "\"");
    const std::size_t above = text_.size() - lines_.back().size() - 1;
    if (lines_.back() != check_text(std::string_view(text_).substr(0, above)))
      fail(lines_.size(), "the check does not belong to what stands above");
  }

  std::string text_;
  Lines lines_;  // into the text
  Scale scale_;
};

}  // namespace

void write_hgrm(std::ostream& out, const Histogram& histogram, Unit unit) {
  const std::string text =
      text_of(histogram, scales[static_cast<std::size_t>(unit)]);
  out << text << check_text(text) << '\n';
}

Histogram read_hgrm(std::istream& in) { return Hgrm(in).read(); }

}  // namespace load
