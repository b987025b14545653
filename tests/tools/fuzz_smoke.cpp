// Runs a fuzz target without a fuzzer, so that every `make test` does: over a
// fixed sequence of inputs, the same on every machine. Each is made of pieces
// that mean something to RESP, of bytes that mean nothing, and of the inputs
// before it, changed a little. (`make fuzz` searches, with coverage.)

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes,
                                      std::size_t size);

namespace {

constexpr std::array<std::string_view, 28> pieces = {
    "*1\r\n", "*2\r\n",     "*3\r\n",  "*-1\r\n",     "*0\r\n", "*1025\r\n",
    "$0\r\n", "$3\r\n",     "$4\r\n",  "$-1\r\n",     "\r\n",   "\n",
    "GET",    "SET",        "PING",    "key",         "\"",     "\\x41",
    "'",      " ",          "+OK\r\n", "-ERR\r\n",    ":7\r\n", "%1\r\n",
    "~2\r\n", "=8\r\ntxt:", "_\r\n",   "$1048577\r\n"};

class Inputs {
 public:
  const std::string& next() {
    if (below(4) == 0) text_.clear();
    for (unsigned n = below(8) + 1; n > 0; --n) grow();
    if (below(3) == 0) damage();
    if (text_.size() > 4096) text_.clear();
    return text_;
  }

 private:
  unsigned below(unsigned limit) {
    return static_cast<unsigned>(random_() % limit);
  }
  void grow() {
    if (below(5) == 0)
      text_.push_back(static_cast<char>(below(256)));
    else
      text_ += pieces[below(pieces.size())];
  }
  void damage() {
    const std::size_t place = below(static_cast<unsigned>(text_.size()));
    if (below(2) == 0)
      text_[place] = static_cast<char>(below(256));
    else
      text_.resize(place);
  }

  std::mt19937 random_{4711};  // fixed: a failure can be repeated
  std::string text_;
};

TEST(Fuzz, holds_over_a_fixed_sequence_of_inputs) {
  const int count = std::getenv("SAMPLED") ? 20'000 : 200'000;
  Inputs inputs;
  std::size_t size = 0;
  for (int i = 0; i < count; ++i) {
    const std::string& text = inputs.next();
    size += text.size();
    EXPECT_EQ(0, LLVMFuzzerTestOneInput(
                     reinterpret_cast<const std::uint8_t*>(text.data()),
                     text.size()));
  }
  EXPECT_GT(size, 0u);
}

}  // namespace
