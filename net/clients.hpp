#pragma once
// Who is served: how many peers there may be, a seat for each, and a count of
// those who are lost.

#include <atomic>
#include <cstdint>
#include <utility>

namespace net {

/// How many conversations the process has, over all loops, and those that it
/// forks, where this lies in memory of all. Thread-safe.
struct Clients {
  std::atomic<std::uint64_t> now{0};
  std::atomic<std::uint64_t> accepted{0};  // ever
  std::atomic<std::uint64_t> refused{0};   // told that there are too many
  std::uint64_t max = ~0ull;
};

/// A place among the Clients, from admission until it is destroyed. Move-only:
/// a connection keeps its seat beside its descriptor.
class Seat {
 public:
  Seat() = default;
  /// Takes a place that has been counted in `clients.now` already.
  explicit Seat(Clients& clients) : clients_(&clients) {}
  Seat(Seat&& other) noexcept
      : clients_(std::exchange(other.clients_, nullptr)) {}
  Seat& operator=(Seat&& other) noexcept {
    std::swap(clients_, other.clients_);
    return *this;
  }
  ~Seat() {
    if (clients_) clients_->now.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  Clients* clients_ = nullptr;
};

/// A peer that was admitted, but cannot be served, is counted: for want of
/// memory ("lost.memory", as a session that is lost later) or of a thread
/// ("net.no_thread").
enum class Want { memory, thread };
void count_lost(Want want);

/// The next close of this socket resets the peer instead of ending orderly.
/// For those who are left at the stop, and counted as "net.reset".
void reset_on_close(int fd);

}  // namespace net
