// Invariant: whatever a .hgrm file holds, it is refused or it is a histogram,
// which, written again, is read as the same one. What a histogram was written
// to is never refused, and with a single byte changed it always is. An input
// that begins with one of the first bytes is not a file, but samples.

#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>

#include "bench/load/histogram.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using fuzz::require;
using load::Histogram;
using load::Unit;

std::optional<Histogram> read(std::string_view text) {
  std::istringstream in{std::string(text)};
  try {
    return load::read_hgrm(in);
  } catch (const std::runtime_error& error) {
    require(std::string_view(error.what()).starts_with("line "),
            "a refusal says where");
    return std::nullopt;
  }
}

std::string write(const Histogram& histogram, Unit unit) {
  std::ostringstream out;
  load::write_hgrm(out, histogram, unit);
  return out.str();
}

void check_written(const Histogram& histogram, fuzz::Choices& choices) {
  std::string text = write(histogram, static_cast<Unit>(choices.below(3)));
  require(read(text) == histogram, "what was written is read");
  const std::size_t place = choices.below(text.size());
  text[place] = static_cast<char>(text[place] + 1 + choices.below(255));
  require(!read(text), "what is damaged is refused");
}

// The bytes as samples: of every size, and of some many. Not all of a long
// input: writing and reading takes its time, and shows nothing more.
Histogram record(std::string_view bytes) {
  Histogram histogram;
  std::uint64_t value = 0;
  for (const char byte : bytes.substr(0, 64)) {
    value = (value << 8 | static_cast<unsigned char>(byte)) * 5;
    histogram.record(static_cast<std::int64_t>(value >> (value & 63)));
    histogram.record(byte);
  }
  return histogram;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes,
                                      std::size_t size) {
  const std::string_view text = fuzz::as_text(bytes, size);
  fuzz::Choices choices(text);
  if (size > 0 && bytes[0] < 8)
    check_written(record(text), choices);
  else if (const auto histogram = read(text))
    check_written(*histogram, choices);
  return 0;
}
