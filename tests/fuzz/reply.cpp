// Invariant: the scanner's verdict on a reply does not depend on how many bytes
// follow or came with it; a whole reply, written in either version, is a whole
// reply, and in RESP3 it says the same.

#include "protocol/reply_parser.hpp"

#include <algorithm>

#include "protocol/writer.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using fuzz::require;
using protocol::ReplyScanner;
using protocol::Value;
using State = ReplyScanner::State;

constexpr std::size_t reply_max = 1 << 20;

State scan(std::string_view text, std::size_t& size) {
  ReplyScanner scanner(reply_max);
  const State state = scanner.scan(text);
  size = scanner.size();
  return state;
}

// The same, of a text that comes piece by piece.
State scan_pieces(std::string_view text, std::size_t& size) {
  ReplyScanner scanner(reply_max);
  State state = State::incomplete;
  fuzz::Choices choices(text);
  std::size_t come = 0;
  while (state == State::incomplete && come < text.size()) {
    come = std::min(text.size(), come + 1 + choices.below(20));
    state = scanner.scan(text.substr(0, come));
  }
  size = scanner.size();
  return state;
}

std::string write(const Value& value, int version) {
  protocol::StringSink sink;
  protocol::Writer(sink, version).value(value);
  return sink.text;
}

void check_value(std::string_view reply) {
  Value value;
  require(read_reply(reply, value) == reply.size(), "all of it is read");
  std::size_t size = 0;
  const std::string old = write(value, 2);
  require(scan(old, size) == State::whole && size == old.size(),
          "RESP2 is whole");
  const std::string modern = write(value, 3);
  require(scan(modern, size) == State::whole && size == modern.size(),
          "RESP3 is whole");
  Value again;
  read_reply(modern, again);
  require(write(again, 3) == modern, "RESP3 says the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes,
                                      std::size_t length) {
  std::string_view text = fuzz::as_text(bytes, length);
  while (!text.empty()) {
    std::size_t size = 0;
    std::size_t size_in_pieces = 0;
    const State state = scan(text, size);
    require(scan_pieces(text, size_in_pieces) == state, "a verdict stands");
    if (state != State::whole) break;
    require(size_in_pieces == size && size <= text.size(), "so does its size");
    check_value(text.substr(0, size));
    text.remove_prefix(size);
  }
  return 0;
}
