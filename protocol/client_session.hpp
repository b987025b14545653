#pragma once
// The client's half of one conversation, as a value: requests are appended,
// bytes go out and come in, replies are taken in the order of the requests.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/reply_parser.hpp"
#include "protocol/value.hpp"

namespace protocol {

/// Used by one thread at a time. Its buffers grow as needed, keep their
/// capacity (but what was large goes when it is done with), and do not move
/// while they are lent. No member throws: without
/// memory this conversation is finished(), with the error "out of memory".
class ClientSession {
 public:
  /// The largest value that Redis holds: for those who ask what they like.
  static constexpr std::size_t reply_max = 512 << 20;

  ClientSession() : ClientSession(reply_max) {}
  /// A reply of more bytes is an error as soon as it is announced; so is one
  /// nested deeper than 32, or of more than a million elements.
  explicit ClientSession(std::size_t bytes_max) : scanner_(bytes_max) {}

  /// Appends one request (at least one argument), all of it or, once finished,
  /// nothing.
  void request(std::span<const std::string_view> arguments);
  void request(std::initializer_list<std::string_view> arguments);

  /// How many replies are owed: asked for and not come whole yet.
  std::size_t owed() const { return owed_; }

  /// True until it has finished: an idle peer is read too, since only so its
  /// end is seen. A model that cannot take back a read asks for owed() instead.
  bool wants_input() const { return !finished(); }
  /// Room, lent until received(); empty only without memory, see
  /// Session::input().
  std::span<std::byte> input();
  void received(std::size_t n);              // 0 gives the room back
  void receive(std::span<const std::byte>);  // bytes that lie elsewhere
  void end_of_input();                       // the peer has ended

  bool has_output() const { return unsent() != 0; }
  /// At most 64 KiB, lent until sent(): they stay where they are, whatever is
  /// asked meanwhile.
  std::span<const std::byte> output();
  void sent(std::size_t n);
  std::size_t unsent() const {
    return sending_.size() - sent_ + filling_.size();
  }

  /// The next whole reply, or null if there is none yet. Valid until the next
  /// call of any member but request(), output() and sent().
  const Value* reply();

  /// The conversation cannot go on: the peer has ended, or what it says is not
  /// RESP, or is an answer to nothing. Whole replies can still be taken.
  bool finished() const { return finished_; }
  /// Why, in words ("the peer closed the connection while 3 replies were owed",
  /// "protocol error: ...", "out of memory"); empty while not finished, and
  /// when nothing was owed at the peer's end.
  std::string_view error() const { return error_; }

  /// As if new, for another connection; keeps the memory.
  void reset();

 private:
  static constexpr std::size_t lent_max = 64 << 10;

  template <class Work>
  void attempt(Work work);
  void append(std::span<const std::string_view> arguments);
  void make_room(std::size_t bytes);
  void scan();
  void fail(std::string why);

  // Input: [begin_, scanned_) whole replies that are to be taken, [scanned_,
  // end_) the beginning of the next one.
  std::vector<std::byte> input_;
  std::size_t begin_ = 0, scanned_ = 0, end_ = 0;
  bool input_lent_ = false;
  ReplyScanner scanner_;
  std::size_t owed_ = 0;
  std::size_t whole_ = 0;  // replies in [begin_, scanned_)
  Value value_;
  bool large_ = false;  // the last reply was
  // Output: sending_ does not move while lent, what is asked meanwhile goes to
  // filling_.
  std::string sending_, filling_;
  std::size_t sent_ = 0;  // of sending_
  std::size_t lent_ = 0;  // behind them
  bool finished_ = false;
  std::string error_;
};

}  // namespace protocol
