#include "protocol/client_session.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "protocol/decimal.hpp"

namespace protocol {
namespace {

constexpr std::size_t room_size = 16 << 10;
// What is kept of buffers, and of the vectors of a value that took as many
// bytes: a peer that has sent a large reply once may never send another.
constexpr std::size_t kept_max = 64 << 10;

// "$5\r\n": at most so many bytes, and how they are written.
constexpr std::size_t line_max = 3 + digits(~std::uint64_t{0});

char* write_line(char* at, char type, std::size_t number) {
  *at++ = type;
  return write_break(write_decimal(at, number));
}

char* write_bulk(char* at, std::string_view bytes) {
  at = write_line(at, '$', bytes.size());
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return write_break(at + bytes.size());
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

// Whatever asks for memory is done in here; nothing but std::bad_alloc is
// thrown by it. The words have room in the string itself.
template <class Work>
void ClientSession::attempt(Work work) {
  try {
    work();
  } catch (...) {
    finished_ = true;
    error_ = "out of memory";  // GCOVR_EXCL_BR_LINE: no throw
  }
}

void ClientSession::request(std::span<const std::string_view> arguments) {
  assert(!arguments.empty());
  // Behind one that is lacking, replies would be taken for those of others.
  if (finished_) return;
  attempt([this, arguments] { append(arguments); });
}

void ClientSession::append(std::span<const std::string_view> arguments) {
  // What is lent does not move, and nothing overtakes what already waits.
  const bool behind = lent_ != 0 || sent_ != 0 || !filling_.empty();
  std::string& text = behind ? filling_ : sending_;
  std::size_t most = line_max;
  for (const std::string_view argument : arguments)
    most += line_max + argument.size() + 2;
  // Written in its place at once: a load does this a million times a second.
  // (The size that libstdc++ 12 hands to the function is that of the memory.)
  const std::size_t before = text.size();
  text.resize_and_overwrite(before + most, [&](char* begin, std::size_t) {
    char* at = write_line(begin + before, '*', arguments.size());
    for (const std::string_view argument : arguments)
      at = write_bulk(at, argument);
    return static_cast<std::size_t>(at - begin);
  });
  ++owed_;
}

void ClientSession::request(std::initializer_list<std::string_view> arguments) {
  request(std::span(arguments.begin(), arguments.size()));
}

std::span<std::byte> ClientSession::input() {
  assert(wants_input());
  if (!input_lent_) attempt([this] { make_room(room_size / 2); });
  input_lent_ = true;
  if (finished_) return {};
  return std::span(input_).subspan(end_);
}

void ClientSession::received(std::size_t n) {
  assert(input_lent_ && n <= input_.size() - end_);
  input_lent_ = false;
  end_ += n;
  attempt([this] { scan(); });
}

void ClientSession::receive(std::span<const std::byte> bytes) {
  assert(!input_lent_);
  if (finished_ || bytes.empty()) return;
  attempt([this, bytes] {
    make_room(bytes.size());
    std::memcpy(input_.data() + end_, bytes.data(), bytes.size());
    end_ += bytes.size();
    scan();
  });
}

void ClientSession::end_of_input() {
  if (finished_) return;
  if (owed_ == 0) {
    finished_ = true;
    return;
  }
  attempt([this] {
    fail("the peer closed the connection while " + std::to_string(owed_) +
         (owed_ == 1 ? " reply was owed" : " replies were owed"));
  });
}

std::span<const std::byte> ClientSession::output() {
  lent_ = std::min(sending_.size() - sent_, lent_max);
  return std::as_bytes(std::span(sending_)).subspan(sent_, lent_);
}

void ClientSession::sent(std::size_t n) {
  assert(n <= lent_);
  lent_ = 0;
  sent_ += n;
  if (sent_ < sending_.size()) return;
  sending_.clear();
  sending_.swap(filling_);
  sent_ = 0;
}

const Value* ClientSession::reply() {
  if (large_) value_ = {};
  large_ = false;
  if (whole_ == 0) return nullptr;
  const auto whole = std::span(input_).subspan(begin_, scanned_ - begin_);
  const Value* reply = nullptr;
  attempt([&] {
    const std::size_t size = read_reply(as_text(whole), value_);
    begin_ += size;
    large_ = size > kept_max;
    reply = &value_;
  });
  // One that has found no memory cannot be taken, nor any behind it.
  whole_ = reply ? whole_ - 1 : 0;
  return reply;
}

void ClientSession::reset() {
  if (large_) value_ = {};
  if (input_.size() > kept_max) input_ = {};
  if (sending_.capacity() + filling_.capacity() > kept_max)
    sending_ = filling_ = {};
  large_ = false;
  begin_ = scanned_ = end_ = owed_ = whole_ = sent_ = lent_ = 0;
  input_lent_ = finished_ = false;
  scanner_.reset();
  sending_.clear();
  filling_.clear();
  error_.clear();
}

// Room behind end_ for so many bytes. What was taken makes place first; then
// the room doubles, by what has come and never by what was announced.
void ClientSession::make_room(std::size_t bytes) {
  if (begin_ == end_ && input_.size() > kept_max && bytes <= kept_max) {
    input_ = {};
    begin_ = scanned_ = end_ = 0;
  }
  if (input_.size() - end_ >= bytes) return;
  if (begin_ != 0) {
    std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
    scanned_ -= begin_;
    end_ -= begin_;
    begin_ = 0;
  }
  if (input_.size() - end_ < bytes) {
    input_.resize(std::max({room_size, 2 * input_.size(), end_ + bytes}));
  }
}

// Looks for replies that have become whole.
void ClientSession::scan() {
  while (!finished_ && scanned_ != end_) {
    if (owed_ == 0) return fail("protocol error: an answer to nothing");
    const auto rest = std::span(input_).subspan(scanned_, end_ - scanned_);
    const auto state = scanner_.scan(as_text(rest));
    if (state == ReplyScanner::State::incomplete) return;
    if (state == ReplyScanner::State::error) {
      return fail("protocol error: " + std::string(scanner_.error()));
    }
    scanned_ += scanner_.size();
    --owed_;
    ++whole_;
  }
}

void ClientSession::fail(std::string why) {
  finished_ = true;
  error_ = std::move(why);
}

}  // namespace protocol
