// Invariant: a client session hears the same replies, and ends for the same
// reason, however the bytes are chopped and whenever the replies are taken.

#include "protocol/client_session.hpp"

#include <algorithm>
#include <cstring>

#include "protocol/writer.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using fuzz::Choices;
using fuzz::require;
using protocol::ClientSession;

class Run {
 public:
  Run() {
    for (int i = 0; i < 5; ++i) client_.request({"GET", "key"});
    while (client_.has_output()) client_.sent(client_.output().size());
  }

  void hear(std::string_view text) { client_.receive(fuzz::as_bytes(text)); }

  void hear_in_pieces(std::string_view text, Choices& choices) {
    while (!text.empty() && client_.wants_input()) {
      const std::string_view piece = text.substr(0, 1 + choices.below(15));
      text.remove_prefix(piece.size());
      if (choices.below(2) == 0) {
        hear(piece);
      } else {
        fill(piece);
      }
      if (choices.below(4) == 0) take();
    }
  }

  // Everything that was heard, and why it ended.
  std::string finish() {
    client_.end_of_input();
    require(client_.finished(), "it ends");
    take();
    protocol::Writer(heard_, 2).error(client_.error());
    return heard_.text;
  }

 private:
  void fill(std::string_view piece) {
    const auto room = client_.input();
    require(room.size() >= piece.size(), "there is room");
    std::memcpy(room.data(), piece.data(), piece.size());
    client_.received(piece.size());
  }

  void take() {
    while (const protocol::Value* reply = client_.reply()) {
      protocol::Writer(heard_, 3).value(*reply);
    }
  }

  ClientSession client_;
  protocol::StringSink heard_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes,
                                      std::size_t size) {
  const std::string_view text = fuzz::as_text(bytes, size);
  Run whole;
  whole.hear(text);
  Run pieces;
  Choices choices(text);
  pieces.hear_in_pieces(text, choices);
  require(whole.finish() == pieces.finish(), "pieces say what the whole says");
  return 0;
}
