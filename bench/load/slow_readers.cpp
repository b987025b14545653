#include "bench/load/slow_readers.hpp"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "net/address.hpp"
#include "net/error.hpp"

namespace load {
namespace {

constexpr std::size_t value_size = 64 << 10;
constexpr std::size_t read_size = 1 << 10;
constexpr std::size_t write_max = 16 << 20;
constexpr int pause_ms = 100;

}  // namespace

SlowReaders::SlowReaders(const std::string& address, std::uint32_t count,
                         Answers from) {
  const std::string size = std::to_string(value_size);
  reply_ = "$" + size + "\r\n";
  append_payload(reply_, value_size, owner_of_request(0, 0));
  reply_ += "\r\n";
  request_ = "*2\r\n$4\r\nECHO\r\n" + reply_;
  if (from == Answers::echo) reply_ = request_;
  const auto to = net::parse_address(address);
  for (std::uint32_t i = 0; to && i < count; ++i) {
    Reader reader{net::open_socket(*to, 0)};
    net::check(reader.socket.get(), "socket");
    net::check(::connect(reader.socket.get(), to->get(), to->length),
               "connect");
    readers_.push_back(std::move(reader));
  }
  thread_ = std::thread([this] { run(); });
}

SlowReaders::~SlowReaders() {
  stopping_ = true;
  thread_.join();
}

std::string SlowReaders::fault() const {
  return wrong_ ? "a slow reader was answered wrongly" : "";
}

void SlowReaders::run() {
  // Nobody waits for them: the thread that measures goes first.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
  while (!stopping_) {
    for (Reader& reader : readers_) {
      if (!reader.socket || (write(reader) && read(reader))) continue;
      ++ended_;
      reader.socket = net::Fd();
    }
    ::poll(nullptr, 0, pause_ms);
  }
}

// As much as the server and the buffers on the way take; from a server that
// takes without end, so much in each turn. False: it has ended.
bool SlowReaders::write(Reader& reader) {
  const std::size_t end = reader.written + write_max;
  while (reader.written < end) {
    const std::size_t at = reader.written % request_.size();
    const ssize_t n = ::send(reader.socket.get(), request_.data() + at,
                             request_.size() - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    reader.written += static_cast<std::size_t>(n);
  }
  return true;
}

bool SlowReaders::read(Reader& reader) {
  std::array<char, read_size> bytes;
  const ssize_t n =
      ::recv(reader.socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  for (ssize_t i = 0; i < n; ++i)
    if (bytes[static_cast<std::size_t>(i)] !=
        reply_[reader.read++ % reply_.size()])
      wrong_ = true;
  compared_ += static_cast<std::uint64_t>(n);
  return n > 0;
}

}  // namespace load
