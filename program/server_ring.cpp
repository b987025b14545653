#include "program/server_ring.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/clock.hpp"
#include "net/endpoint.hpp"
#include "net/error.hpp"
#include "net/fd.hpp"
#include "program/child.hpp"
#include "program/waiting.hpp"

namespace program {
namespace {

using protocol::Nanoseconds;

constexpr int failed_code = 1;
constexpr int skipped_code = 77;
constexpr int interrupted_code = 130;  // as a shell says it of SIGINT
constexpr std::size_t columns = 80;
constexpr Nanoseconds ready_ns = 30'000'000'000;
constexpr Nanoseconds end_ns = 5'000'000'000;

/// One server of the ring. Unless the ring is to stay, its messages are kept
/// and shown only if something went wrong.
class Server {
 public:
  Server(const Arguments& command, int socket, bool messages_kept)
      : name_(command[0]) {
    std::array<int, 2> ends;
    net::check(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
    output_ = net::Fd(ends[0]);
    const net::Fd output(ends[1]);
    net::check(::fcntl(ends[0], F_SETFL, O_NONBLOCK), "fcntl");
    if (messages_kept)
      messages_ = net::Fd(
          net::check(::memfd_create("messages", MFD_CLOEXEC), "memfd_create"));
    child_.emplace(command, Inherited{socket, output.get(), messages_.get()});
  }

  const std::string& name() const { return name_; }
  Child& child() { return *child_; }

  /// True once it has said that it is ready; false if it has ended without, or
  /// has not by then, or we are interrupted.
  bool await_ready(Signals& signals, Nanoseconds due) {
    std::string said;
    while (!said.ends_with('\n')) {
      if (!signals.wait(output_.get(), due) || signals.interrupted())
        return false;
      std::array<char, 256> room;
      const ssize_t n = ::read(output_.get(), room.data(), room.size());
      if (n < 0 && errno == EAGAIN) continue;
      if (n <= 0) return false;
      said.append(room.data(), static_cast<std::size_t>(n));
    }
    return said.starts_with("ready ");
  }

  /// What it has written to its standard error, as far as it was kept.
  std::string messages() const {
    std::string text;
    std::array<char, 4096> room;
    for (off_t at = 0; messages_;) {
      const ssize_t n = ::pread(messages_.get(), room.data(), room.size(), at);
      if (n <= 0) break;
      text.append(room.data(), static_cast<std::size_t>(n));
      at += n;
    }
    return text;
  }

 private:
  const std::string name_;
  net::Fd output_, messages_;
  std::optional<Child> child_;
};

class Ring {
 public:
  explicit Ring(const RingOptions& options) : options_(options) {}

  int run() {
    bind();
    start();
    int code = await_ready();
    if (code == 0) code = options_.serve ? serve() : demonstrate();
    stop();
    if (code == 0) code = complain();
    return code;
  }

 private:
  void bind() {
    for (unsigned i = 0; i < options_.count; ++i) {
      const unsigned port = options_.port == 0 ? 0 : options_.port + i;
      sockets_.push_back(
          net::bind_socket(options_.bind, static_cast<std::uint16_t>(port)));
      addresses_.push_back(net::address_of(sockets_.back().get()));
      if (i > 0) list_ += ',';
      list_ += addresses_.back();
    }
  }

  void start() {
    for (unsigned i = 0; i < options_.count; ++i) {
      const int socket = sockets_[i].get();
      Arguments command{options_.servers[i % options_.servers.size()],
                        "--listen-fd", std::to_string(socket)};
      if (!options_.alone) command.insert(command.end(), {"--ring", list_});
      command.insert(command.end(), options_.server_options.begin(),
                     options_.server_options.end());
      servers_.emplace_back(command, socket, !options_.serve);
    }
    sockets_.clear();  // or they would take peers after their servers' end
  }

  int await_ready() {
    const Nanoseconds due = net::now() + ready_ns;
    for (Server& server : servers_)
      if (!server.await_ready(signals_, due)) return explain(server);
    return 0;
  }

  /// Why a server is not ready, or is no more.
  int explain(Server& server) {
    const auto code = server.child().wait(signals_, net::now() + end_ns, false);
    if (signals_.interrupted()) return interrupted_code;
    const std::string why = server.messages();
    if (code == skipped_code) return skip(why.empty() ? server.name() : why);
    return complain(server, code);
  }

  static int complain(const Server& server, std::optional<int> code) {
    const std::string ended =
        code ? "has ended with " + std::to_string(*code) : "still runs";
    std::fprintf(stderr, "%s: %s\n%s", server.name().c_str(), ended.c_str(),
                 server.messages().c_str());
    return failed_code;
  }

  static int skip(const std::string& why) {
    std::printf("SKIP %s%s", why.c_str(), why.ends_with('\n') ? "" : "\n");
    return skipped_code;
  }

  int serve() {
    for (const std::string& address : addresses_)
      std::printf("%s\n", address.c_str());
    std::fflush(stdout);
    while (!signals_.interrupted()) {
      // All are looked at before any word of a death is taken away: whoever
      // ends behind our back wakes us at once.
      for (Server& server : servers_)
        if (server.child().ended()) return explain(server);
      signals_.wait(-1, protocol::never);
    }
    return 0;
  }

  int demonstrate() {
    std::size_t column = static_cast<std::size_t>(
        options_.alone ? std::printf("One server:")
                       : std::printf("A ring of %u servers:", options_.count));
    for (const std::string& address : addresses_) {
      if (column + 1 + address.size() > columns) std::printf("\n "), column = 1;
      std::printf(" %s", address.c_str());
      column += 1 + address.size();
    }
    std::printf("\n\n");
    std::fflush(stdout);
    Child client({options_.client, addresses_[0], "--demo"}, {});
    const auto code = client.wait(signals_, protocol::never, false);
    if (!code) return interrupted_code;
    if (*code == skipped_code) return skip(options_.client);
    if (*code == 0 && options_.alone && !show_waiting(addresses_[0]))
      return failed_code;
    return *code;
  }

  void stop() {
    for (Server& server : servers_) server.child().signal(SIGTERM);
    const Nanoseconds due = net::now() + end_ns;
    for (Server& server : servers_) server.child().wait(signals_, due, true);
  }

  /// 0 if each of them has ended as it should.
  int complain() {
    int failed = 0;
    for (Server& server : servers_)
      if (const auto code = server.child().wait(signals_, 0, true); code != 0)
        failed = complain(server, code);
    return failed;
  }

  const RingOptions& options_;
  Signals signals_;
  std::vector<net::Fd> sockets_;
  std::vector<std::string> addresses_;
  std::string list_;
  std::deque<Server> servers_;
};

}  // namespace

int run_ring(const RingOptions& options) { return Ring(options).run(); }

}  // namespace program
