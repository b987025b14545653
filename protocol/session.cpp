#include "protocol/session.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <utility>

namespace protocol {
namespace {

// The room for a peer of whom little is kept: what one call of recv(2) brings
// at most while a pipeline is short, and no more for each of many peers.
constexpr std::size_t room_size = 16 << 10;

}  // namespace

Session::Session(Service& service, Pool& pool, ReturnAddress address,
                 const Origin* origin)
    : service_(service),
      limits_(service.limits()),
      pool_(&pool),
      address_(address),
      output_(pool) {
  if (origin) attempt([&] { service_.greet(client_, *origin); });
}

Session::~Session() {
  if (input_ != nullptr) pool_->give_back(input_);
}

// Whatever asks for memory is done in here. Nothing but std::bad_alloc is
// thrown by it, not by a service either.
template <class Work>
void Session::attempt(Work work) {
  try {
    work();
  } catch (...) {
    abandon();             // GCOVR_EXCL_BR_LINE: no throw
    service_.no_memory();  // GCOVR_EXCL_BR_LINE: no throw
  }
}

bool Session::wants_input() const {
  if (discarding()) return output_ended() && !finished();
  if (output_.size() > limits_.output_max || wants_turn()) return false;
  return !pending_ || left() < limits_.parked_max;
}

std::span<std::byte> Session::input() {
  assert(wants_input());
  if (!lent_) attempt([this] { make_room(); });
  lent_ = true;
  if (input_ == nullptr) return {};
  std::size_t room = input_->room();
  if (pending_) room = std::min(room, limits_.parked_max - left());
  return {input_->bytes() + input_->end, room};
}

void Session::received(std::size_t n) {
  assert(lent_ && (n == 0 || n <= input_->room()));
  lent_ = false;
  heard_ = heard_ || n != 0;
  begin_portion();
  if (discarding()) {
    discarded_ += static_cast<std::uint32_t>(n);
  } else {
    input_->end += static_cast<std::uint32_t>(n);
  }
  attempt([this] { advance(); });
}

void Session::receive(std::span<const std::byte> bytes) {
  assert(!lent_);
  heard_ = heard_ || !bytes.empty();
  begin_portion();
  attempt([this, bytes]() mutable {
    if (!discarding() && left() == 0) bytes = bytes.subspan(answer(bytes));
    if (discarding()) {
      discarded_ += static_cast<std::uint32_t>(bytes.size());
    } else if (!bytes.empty()) {
      keep(bytes);
    }
    advance();
  });
}

void Session::end_of_input() {
  ended_ = true;
  settle();
}

void Session::drain() {
  draining_ = true;
  settle();
}

void Session::sent(std::size_t n) {
  output_.sent(n);
  mark_ += static_cast<std::uint32_t>(n);
  if (left() != 0) attempt([this] { advance(); });
}

void Session::take_turn() {
  if (!wants_turn()) return;
  spent_ = 0;
  attempt([this] { advance(); });
}

void Session::deliver(std::string_view answer) {
  if (!pending_) return;
  attempt([this, answer] {
    pending_ = false;
    output_.append(answer);
    advance();
  });
}

bool Session::output_ended() const {
  return closing_ && !pending_ && output_.size() == 0;
}

bool Session::finished() const {
  if (dropped_) return true;
  return output_ended() && (ended_ || discarded_ >= limits_.discard_max);
}

void Session::abandon() {
  closing_ = dropped_ = true;
  pending_ = false;
  output_.abandon();
  if (input_ != nullptr && !lent_) release_input();
}

Wait Session::waits_for() const {
  if (finished()) return {Wait::For::nothing, mark_};
  if (output_ended()) return {Wait::For::end, mark_};
  // Fewer bytes than needed: they were looked at, and a frame has begun. A full
  // output comes first, since then it is we who do not read.
  const bool begun = left() != 0 && left() < needed_;
  if (begun && wants_input()) return {Wait::For::frame, mark_};
  // Whether or not it is our turn to answer more: nothing has been taken yet of
  // what we have.
  if (has_output()) return {Wait::For::reader, mark_};
  // What is left is a request that nothing but a pending answer holds up, or
  // whose turn has not come. No peer is late then, but what it has sent can be
  // the largest of all.
  return {left() != 0 ? Wait::For::answer : Wait::For::nothing, mark_};
}

std::size_t Session::held() const {
  return output_.held() + (input_ == nullptr ? 0 : input_->capacity);
}

std::span<const std::byte> Session::kept() const {
  if (input_ == nullptr) return {};
  return {input_->bytes() + input_->begin, input_->used()};
}

inline Parsed Session::parse(std::span<const std::byte> bytes,
                             Scratch& scratch) {
  if (const Framing* const framing = service_.framing()) [[unlikely]]
    return framing->parse(bytes, limits_, scratch, progress_);
  return parse_request(bytes, limits_, scratch, progress_);
}

// Answers the requests at the front of the bytes, until the portion is used up,
// and says how many bytes are done with.
std::size_t Session::answer(std::span<const std::byte> bytes) {
  std::size_t done = 0;
  if (bytes.size() < needed_ || blocked()) return done;
  Scratch scratch(*pool_);
  do {
    const Parsed parsed = parse(bytes.subspan(done), scratch);
    if (parsed.kind == Parsed::Kind::incomplete) {
      needed_ = static_cast<std::uint32_t>(parsed.needed);
      break;
    }
    needed_ = 1;
    ++mark_;
    done += parsed.consumed;
    std::size_t steps = 1 + parsed.consumed / step_bytes;
    if (parsed.kind == Parsed::Kind::request)
      steps += answer(scratch.arguments());
    if (parsed.kind == Parsed::Kind::error) refuse(parsed);
    // An answer may say that it took more steps than can be counted.
    spent_ += static_cast<std::uint32_t>(std::min(steps, portion_max));
  } while (bytes.size() - done >= needed_ && !blocked());
  return done;
}

// Returns the steps that it took.
std::size_t Session::answer(std::span<const std::string_view> arguments) {
  const std::size_t before = output_.size();
  Reply reply(output_, client_, address_);
  service_.answer(arguments, reply);
  pending_ = reply.pending();
  closing_ = reply.closing();
  const std::size_t written = output_.size() - before;
  if (reply.dropping()) {
    closing_ = dropped_ = true;
    output_.abandon();
  }
  return arguments.size() / step_arguments + written / step_bytes +
         reply.steps();
}

void Session::refuse(const Parsed& parsed) {
  Writer writer(output_, client_.version);
  if (const Framing* const framing = service_.framing())
    framing->refuse(parsed, writer);
  else
    writer.error(protocol_error(parsed));
  service_.protocol_error(parsed.error);
  closing_ = true;
}

void Session::advance() {
  const std::size_t done = answer(kept());
  if (done != 0) input_->begin += static_cast<std::uint32_t>(done);
  settle();
}

// After everything that has happened: ends the conversation when the last whole
// request is answered, and gives back what need not be held.
void Session::settle() {
  // Fewer bytes than needed: whatever is left is not a whole request. A full
  // output leaves enough of them until sent() goes on.
  if ((ended_ || draining_) && left() < needed_) closing_ = true;
  if (input_ == nullptr || lent_) return;
  if (closing_ || left() == 0) return release_input();
  if (input_->capacity <= std::max(4 * left(), Pool::block_min)) return;
  // Without memory for less it stays where it is, and nobody is lost.
  Block* const smaller = pool_->try_borrow(left());
  if (smaller != nullptr) move_input(smaller);
}

// Room grows with what has come, never with what was announced. Doubled, each
// byte is moved O(1) times; less will do where the frame ends sooner.
void Session::make_room() {
  const std::size_t wanted = std::max(
      room_size,
      std::bit_ceil(std::min(
          2 * left(), std::max<std::size_t>(needed_, left() + room_size / 2))));
  if (input_ == nullptr || input_->capacity - input_->begin < wanted)
    move_input(pool_->borrow(wanted));
}

void Session::keep(std::span<const std::byte> bytes) {
  const std::size_t size = left() + bytes.size();
  if (input_ == nullptr || input_->room() < bytes.size())
    move_input(pool_->borrow(size));
  std::memcpy(input_->bytes() + input_->end, bytes.data(), bytes.size());
  input_->end += static_cast<std::uint32_t>(bytes.size());
}

// Moves what is left into a block of its own; never while room is lent.
void Session::move_input(Block* block) {
  assert(!lent_);
  const auto bytes = kept();
  if (!bytes.empty()) std::memcpy(block->bytes(), bytes.data(), bytes.size());
  block->end = static_cast<std::uint32_t>(bytes.size());
  if (input_ != nullptr) pool_->give_back(input_);
  input_ = block;
}

void Session::release_input() {
  pool_->give_back(std::exchange(input_, nullptr));
}

}  // namespace protocol
