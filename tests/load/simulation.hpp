#pragma once
// A model's client and a server in memory, in made-up time: what a generator
// does in five seconds is seen in some milliseconds, and the same every time.

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/generator.hpp"
#include "protocol/session.hpp"

namespace simulation {

using load::Nanoseconds;
using Words = std::span<const std::string_view>;

inline constexpr Nanoseconds second = 1'000'000'000;
inline constexpr Nanoseconds millisecond = 1'000'000;
inline constexpr Nanoseconds microsecond = 1'000;

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// ECHO, PING, SET, GET, DEL and EXISTS of one store.
class Store final : public protocol::Service {
 public:
  void answer(Words words, protocol::Reply& reply) override;
  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }

  /// Asked first: true, and it has written the answer itself.
  std::function<bool(Words, protocol::Reply&)> instead;
  std::size_t answered = 0;

 private:
  std::map<std::string, std::string, std::less<>> values_;
  protocol::Limits limits_;
  protocol::Budget budget_{limits_.buffers_max};
};

class Bell final : public protocol::Postbox {
 public:
  void post(protocol::Letter) override { wake(); }
  void wake() override { rung = true; }
  std::atomic<bool> rung = false;
};

/// The world of one generator. Set what differs from the usual, then run().
class World {
 public:
  World(const load::Plan& plan,
        const std::vector<std::string>& commands = {"ECHO {32}"},
        std::uint64_t keys = 100);

  /// Runs the generator until it is over; what came of it.
  const load::Outcome& run();

  /// When the answer to what arrives at `now` is at the generator. Monotone.
  std::function<Nanoseconds(Nanoseconds now)> answered_at =
      [](Nanoseconds now) { return now + 100 * microsecond; };
  /// When a client that should wake at `now` does.
  std::function<Nanoseconds(Nanoseconds now)> woken_at = [](Nanoseconds now) {
    return now;
  };
  /// Why the next connect fails, "" if it does not.
  std::function<std::string()> refusal = [] { return std::string(); };
  /// Why a connection ends instead of its next answer, "" if it does not.
  std::function<std::string()> reset = [] { return std::string(); };
  /// So many bytes arrive at once, the rest 10 us later; 0: all.
  std::size_t fragment = 0;
  /// How long a connect takes.
  Nanoseconds connect_time = 0;
  /// After everything that the generator was told or asked.
  std::function<void(protocol::Peer&)> look = [](protocol::Peer&) {};

  load::Usage usage;  // so far
  Store store;
  std::vector<load::Phase> phases;  // as they were announced
  Nanoseconds measured_at = 0;      // when `measuring` was
  std::size_t connects = 0, connecting = 0, connecting_most = 0;
  Bell bell;
  const load::Workload workload;
  load::Generator generator;
  Nanoseconds now;

 private:
  struct Line {
    explicit Line(Store& store)
        : pool(store.budget()), session(store, pool, {nullptr, 0}) {}
    protocol::Pool pool;
    protocol::Session session;
    Nanoseconds last = 0;  // that something arrives
    bool connected = false;
  };
  /// Something that reaches the generator.
  struct Event {
    protocol::Peer* peer;
    std::uint64_t connection;  // the peer's tag when it was sent
    std::string bytes;         // none: it is connected
  };

  void enter(load::Phase phase);
  void turn();
  void deliver(const Event& event);
  void connect(protocol::Peer& peer);
  void connected(protocol::Peer& peer);
  void speak(protocol::Peer& peer);
  void exchange(protocol::Peer& peer);
  void answer(protocol::Peer& peer, Line& line);
  void close(protocol::Peer& peer, const std::string& why);

  std::map<protocol::Peer*, std::unique_ptr<Line>> lines_;
  std::multimap<Nanoseconds, Event> events_;
};

/// A closed loop and an open one, of which the tests change what they are
/// about. No warm-up.
load::Plan closed_loop(std::uint32_t connections, std::uint32_t depth);
load::Plan open_loop(std::uint32_t connections, double rate);

}  // namespace simulation
