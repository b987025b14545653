// Invariant: a session answers the same to the same bytes, however they are
// chopped, whether they come into its room or from elsewhere, and whatever is
// sent, delivered or taken back in between, in whatever portions. In the end it
// holds nothing.

#include "protocol/session.hpp"

#include <algorithm>
#include <cstring>

#include "tests/fuzz/fuzz.hpp"

namespace {

using fuzz::Choices;
using fuzz::require;
using protocol::Session;

constexpr std::string_view late = ":1\r\n";

class Run {
 public:
  Run(fuzz::Service& service, protocol::Pool& pool)
      : session_(service, pool, {}) {}

  void say(std::string_view text) { session_.receive(fuzz::as_bytes(text)); }

  void say_in_pieces(std::string_view text, Choices& choices) {
    while (!text.empty()) {
      const std::size_t most = choices.below(6) == 0 ? text.size() : 12;
      text.remove_prefix(
          step(text.substr(0, 1 + choices.below(most)), choices));
    }
  }

  // The peer has ended: hears what is still to come.
  std::string finish() {
    session_.end_of_input();
    while (session_.has_output() || session_.pending() ||
           session_.wants_turn()) {
      session_.take_turn();
      session_.deliver(late);
      hear(session_.output().size());
    }
    require(session_.finished(), "it ends");
    require(session_.held() == 0, "and holds nothing");
    require(!session_.wants_input(), "and wants nothing");
    return heard_;
  }

 private:
  // Returns how much of the text was said.
  std::size_t step(std::string_view text, Choices& choices) {
    switch (choices.below(6)) {
      case 0:
        say(text);
        return text.size();
      case 1:
        return session_.wants_input() ? fill(text, choices) : 0;
      case 2:
        hear(choices.below(session_.output().size() + 1));
        return 0;
      case 3:
        session_.deliver(late);
        return 0;
      case 4:
        session_.take_turn();
        return 0;
      default:
        check();
        return 0;
    }
  }

  std::size_t fill(std::string_view text, Choices& choices) {
    const auto room = session_.input();
    require(!room.empty(), "there is room where input is wanted");
    const std::size_t n = std::min(text.size(), room.size());
    std::memcpy(room.data(), text.data(), n);
    // While the room is lent, other things happen.
    if (choices.below(3) == 0) session_.deliver(late);
    if (choices.below(3) == 0) hear(choices.below(50));
    if (choices.below(3) == 0) session_.take_turn();
    session_.received(n);
    return n;
  }

  void hear(std::size_t n) {
    const std::string_view lent = fuzz::as_text(session_.output());
    n = std::min(n, lent.size());
    heard_ += lent.substr(0, n);
    session_.sent(n);
  }

  void check() {
    require(session_.waits_for() == session_.waits_for(), "asking is free");
    if (session_.output_ended()) {
      require(!session_.has_output(), "the output has ended");
    }
    if (session_.wants_turn()) {
      require(!session_.wants_input(), "nothing is read before its turn");
      require(!session_.finished(), "nor is it over");
    }
  }

  Session session_;
  std::string heard_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes,
                                      std::size_t size) {
  static fuzz::Service service;
  static protocol::Pool pool(service.budget());
  const std::string_view text = fuzz::as_text(bytes, size);
  Run whole(service, pool);
  whole.say(text);
  Run pieces(service, pool);
  Choices choices(text);
  pieces.say_in_pieces(text, choices);
  require(whole.finish() == pieces.finish(), "pieces answer as the whole");
  return 0;
}
