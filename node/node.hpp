#pragma once
// What a node answers: the one table of commands, over a store and an overlay.

#include <atomic>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dht/overlay.hpp"
#include "node/lookups.hpp"
#include "node/redirect.hpp"
#include "node/shards.hpp"
#include "node/store.hpp"
#include "protocol/commands.hpp"
#include "protocol/service.hpp"

namespace node {

class Node;
using Command = protocol::Command<Node>;
using Row = protocol::Row<Node>;

/// What a conversation has chosen for itself: most choose nothing.
struct Chosen final : protocol::State {
  std::uint64_t id = 0;  // given when it is first asked for
  std::string name;      // CLIENT SETNAME; empty: none
  bool asking = false;   // ASKING: holds for one request
  bool proxy = false;    // DHT.MODE proxy
};
/// Null if it has chosen nothing yet.
inline Chosen* chosen(const protocol::Client& client) {
  return static_cast<Chosen*>(client.state.get());
}
/// Made if there is none. Throws std::bad_alloc.
Chosen& choices(protocol::Client& client);

/// So many bytes of a key are placed on the ring in the time of a PING.
inline constexpr std::size_t hashed_a_step = 128;

/// What the node cannot know by itself; handed in by the program (and by the
/// tests). Thread-safe.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  using Numbers = std::vector<std::pair<std::string, std::uint64_t>>;
  using Fields = std::vector<std::pair<std::string, std::string>>;

  /// The counter of this name, "cmd." and "get" for one, new or known. Asked
  /// for when the node is made.
  virtual unsigned counter(std::string_view prefix, std::string_view name) = 0;
  /// Adds so much to it. Returns what this thread has added to it by now.
  virtual std::uint64_t count(unsigned counter, std::uint64_t n) = 0;
  /// All counters with this prefix, and their sums over all threads.
  virtual Numbers totals(std::string_view prefix) const = 0;
  /// How many threads those are: what sums take grows with them.
  virtual std::size_t threads() const = 0;
  /// Of a clock that only goes forward.
  virtual std::uint64_t now_ns() const = 0;
  /// The fields of an INFO section ("server", "clients", "memory", "stats",
  /// "cpu", "syscalls", "model") that belong to the process: "process_id"
  /// "4711" ... CONFIG GET takes "maxclients" from "clients", "tcp_port" from
  /// "server".
  virtual Fields fields(std::string_view section) const = 0;
};

struct Setup {
  dht::Placement placement = dht::Placement::slots;
  dht::Hash hash = nullptr;               // for Placement::sha1
  const dht::Overlay* overlay = nullptr;  // null: no ring, every key is ours
  Lookups* lookups = nullptr;             // null: no other nodes can be asked
  Redirect redirect = Redirect::hop;      // whom MOVED names
  dht::Member self;                       // as announced; for who has no ring
  protocol::Limits limits;
  // Of what is counted over all processes of the node; outlives it.
  std::pmr::memory_resource* shared = std::pmr::new_delete_resource();
};

/// Thread-safe, as store and surroundings are.
class Node final : public protocol::Service {
 public:
  /// All that is handed in outlives the node. With an overlay, its self() goes
  /// before that of the setup.
  Node(Setup setup, Store& store, Surroundings& surroundings);

  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override;
  void protocol_error(std::string_view name) override;
  void no_memory() override { surroundings_.count(lost_, 1); }
  const protocol::Limits& limits() const override { return setup_.limits; }
  protocol::Budget& budget() override { return budget_; }

  // What the commands work with.
  const Setup& setup() const { return setup_; }
  /// The ring; without one, a ring of this node alone.
  const dht::Overlay& overlay() const { return *overlay_; }
  Store& store() const { return store_; }
  std::size_t buffers_used() const { return budget_.used(); }
  const Surroundings& surroundings() const { return surroundings_; }
  const Owners& owners() const { return owners_; }
  dht::Id place(std::string_view key) const;
  /// Redis's slot of the key; with Placement::sha1 the top 14 bits of its
  /// identifier.
  std::uint16_t slot(std::string_view key) const;
  /// The client's number, given when it is first asked for.
  std::uint64_t number(protocol::Client& client);
  /// The next node towards a key that is not ours. Its `next` is null if there
  /// is none that is strictly nearer.
  dht::Hop next_hop(const dht::Id& key) const;

 private:
  /// What is counted of one row: requests, and nanoseconds.
  struct Figures {
    unsigned requests, time;
  };

  void write_constants();
  [[gnu::always_inline]] void answer(
      const Row& row, std::span<const std::string_view> arguments,
      protocol::Reply& reply);
  const dht::Member* redirected_to(const dht::Id& key) const;
  bool answerable(const Command& command,
                  std::span<const std::string_view> arguments,
                  protocol::Reply& reply, bool asked) const;
  void redirect(std::string_view key, const dht::Id& id,
                std::span<const std::string_view> arguments,
                protocol::Reply& reply) const;

  const Setup setup_;
  const std::unique_ptr<const dht::Overlay> alone_;  // if there is no ring
  const dht::Overlay* const overlay_;
  const Owners owners_;
  Store& store_;
  Surroundings& surroundings_;
  /// What processes that are forked count together.
  struct Common {
    protocol::Budget::Bytes buffers{0};
    std::atomic<std::uint64_t> clients{0};  // numbers given
  };
  const std::shared_ptr<Common> common_;
  protocol::Budget budget_;
  std::vector<Figures> figures_;        // of each row, and of unknown commands
  std::vector<std::string> constants_;  // of each row, in RESP 2 and 3
  unsigned lost_;                       // conversations, without memory
  std::vector<unsigned> protocol_errors_;  // one for each name, and "other"
};

}  // namespace node
