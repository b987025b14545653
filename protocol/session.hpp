#pragma once
// The server's half of one conversation, as a value: bytes go in, bytes come
// out, and no call to the kernel is made here. A model's whole duty is to move
// the bytes.

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "protocol/output.hpp"
#include "protocol/parser.hpp"
#include "protocol/service.hpp"

namespace protocol {

/// For what a conversation waits. The mark changes with every frame begun and
/// every byte sent: same `what` and same mark means that the peer has made no
/// progress.
struct Wait {
  enum class For : std::uint8_t {
    nothing,  // an idle peer may stay
    frame,    // the rest of a request
    reader,   // the peer does not read its answers
    end,      // we have ended, the peer has not
    answer    // ours, with input kept: a pending one, or its turn has not come
  };
  For what = For::nothing;
  std::uint32_t mark = 0;
  bool operator==(const Wait&) const = default;
};

/// Used by one thread at a time (use() where they change). Lives where it was
/// made: the kernel may hold addresses that it has lent.
///
/// One request as a model moves it, 22 bytes that come in two pieces:
///
///     input()           lends 16 KiB
///       recv            "*2\r\n$4\r\nECHO\r\n"
///     received(14)      not whole: waits_for() is the rest of a frame
///     input()           lends what is left of them
///       recv            "$2\r\nhi\r\n"
///     received(8)       whole: answered, and the 16 KiB go back
///     output()          lends "$2\r\nhi\r\n"
///       send            takes 5 bytes
///     sent(5)           three are left
///     output()          lends these: "i\r\n"
///       send            takes them
///     sent(3)           waits for nothing, and holds nothing
///
/// What each flag means to a model. Where several hold, the strictest counts.
///
///     flag          set by                    input       answers     sends
///     dropped_      abandon(), Reply::drop()  no: close   no          lent
///     closing_      the last request, errors  rubbish     no          yes
///     ended_        end_of_input()            no          whole ones  yes
///     draining_     drain()                   rubbish     whole ones  yes
///     wants_turn()  a portion is used up      no          in a turn   yes
///     pending_      Reply::later()            some        no          yes
///     too full      more than output_max      no          no          yes
///     none of them                            yes         yes         yes
///
/// "Rubbish" is thrown away, and wanted only once all is sent; "some" are
/// parked_max bytes.
///
/// No member throws. Where memory is wanting, this conversation is lost and no
/// other: it is finished() at once as after abandon(), and Service::no_memory()
/// is told.
class Session {
 public:
  // ## Portions
  //
  // One step is about the work of a PING: 0.1 to 0.25 us. A request costs one,
  // and one for each `step_arguments` arguments, for each `step_bytes` bytes of
  // it and its answer, and for each that the service has spent. So a portion
  // takes about a millisecond at most, plus one request; and 16 KiB of plain
  // commands, an ordinary receive, are one portion (the shortest that are
  // known, "PING\n", are 3277).
  static constexpr std::size_t portion_max = 4096;  // steps
  static constexpr std::size_t step_arguments = 16;
  static constexpr std::size_t step_bytes = 1 << 10;

  /// `address` is where pending answers for this conversation go. Service and
  /// pool outlive the session; `origin` is asked for now or never, and null in
  /// memory, where a peer comes from nowhere.
  Session(Service& service, Pool& pool, ReturnAddress address,
          const Origin* origin = nullptr);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// From now on it is used by another thread: its blocks come from the pool of
  /// that one and go there, those that it holds among them. Only while nothing
  /// is lent.
  void use(Pool& pool) {
    pool_ = &pool;
    output_.use(pool);
  }

  // What to arm; lends nothing.
  bool wants_input() const;
  bool has_output() const { return output_.size() != 0; }

  /// Room for the peer's bytes, lent until received(). Only if wants_input().
  /// Empty only without memory, and then all is over: a receive into no room
  /// brings 0 or EAGAIN, and received(0), end_of_input() do no harm. A model
  /// needs no line for it, unless it would sleep in that receive.
  std::span<std::byte> input();
  /// The first n bytes of the room have been filled. 0 gives the room back
  /// untouched (EAGAIN, an error): it does not mean the end.
  void received(std::size_t n);
  /// Bytes that lie elsewhere, for example in a buffer that the kernel chose.
  /// Takes all of them, wanted or not; they may be reused on return.
  void receive(std::span<const std::byte> bytes);
  /// The peer has shut down its side. What has come whole is still answered.
  void end_of_input();
  /// We want to end: what has come whole is still answered, what comes from
  /// now on is thrown away.
  void drain();

  /// At most 64 KiB for the peer, lent until sent(): they stay where they are,
  /// whatever is received or answered meanwhile.
  std::span<const std::byte> output() { return output_.lend(); }
  /// The first n of the lent bytes were taken, perhaps 0. There may be more
  /// output afterwards without new input.
  void sent(std::size_t n);

  /// Requests lie here that could be answered, but others are to have their
  /// turn first. Until take_turn() nothing is read (receive() keeps what is
  /// brought), and no event would wake the loop: it must not sleep. Ask it
  /// after every call that may answer.
  ///
  /// A portion begins with received(), with receive() and with take_turn().
  /// sent() and deliver() go on with the one that has begun, and end_of_input()
  /// and drain() answer nothing. So no call answers more than a portion and one
  /// request, and none answers anything while a turn is wanted.
  bool wants_turn() const {
    return spent_ >= portion_max && left() >= needed_ && !held_up();
  }
  /// Answers the next portion; nothing if no turn is wanted.
  void take_turn();

  /// An answer is awaited: a model that cannot take back a read does not read.
  bool pending() const { return pending_; }
  /// The awaited answer; ignored when none is (the Letter came too late).
  void deliver(std::string_view answer);

  /// All is sent and nothing more will be: shut down writing, once. Then go on
  /// reading until finished(): a close with unread input resets the peer and
  /// destroys answers on their way to it (RFC 1122, 4.2.2.13).
  bool output_ended() const;
  /// Close now.
  bool finished() const;

  /// To be closed as soon as the kernel has let go of what it was lent: nothing
  /// more is answered or sent, and every block that is not lent goes back now.
  void abandon();

  Wait waits_for() const;
  /// Have bytes of the peer come since this was last asked?
  bool was_heard() { return std::exchange(heard_, false); }
  /// Bytes of the blocks that it holds.
  std::size_t held() const;
  const Client& client() const { return client_; }

 private:
  bool discarding() const { return closing_ || draining_ || ended_; }
  // While this holds, no turn would help.
  bool held_up() const {
    return closing_ || pending_ || output_.size() > limits_.output_max;
  }
  bool blocked() const { return spent_ >= portion_max || held_up(); }
  std::size_t left() const { return input_ == nullptr ? 0 : input_->used(); }
  std::span<const std::byte> kept() const;

  template <class Work>
  void attempt(Work work);
  void begin_portion() {
    if (!wants_turn()) spent_ = 0;
  }
  Parsed parse(std::span<const std::byte> bytes, Scratch& scratch);
  std::size_t answer(std::span<const std::byte> bytes);
  std::size_t answer(std::span<const std::string_view> arguments);
  void refuse(const Parsed& parsed);
  void advance();
  void settle();
  void make_room();
  void keep(std::span<const std::byte> bytes);
  void move_input(Block* block);
  void release_input();

  Service& service_;
  const Limits& limits_;
  Pool* pool_;
  const ReturnAddress address_;
  Client client_;
  Output output_;
  Block* input_ = nullptr;  // bytes that are not answered yet, and room
  // Counts of bytes here have 32 bits: what they count fits into a block, or
  // into a limit of 1 GiB. There are many sessions.
  std::uint32_t needed_ = 1;     // with fewer no look at the input is due
  std::uint32_t discarded_ = 0;  // thrown away
  Progress progress_;            // of the look at the first request
  std::uint32_t mark_ = 0;
  std::uint32_t spent_ = 0;  // steps of the portion
  bool lent_ = false;        // the room behind the input
  bool pending_ = false;
  bool closing_ = false;   // no more requests are answered
  bool dropped_ = false;   // nothing more is sent either
  bool ended_ = false;     // the peer has ended
  bool draining_ = false;  // we want to end
  bool heard_ = false;     // of the peer, since was_heard()
};

}  // namespace protocol
