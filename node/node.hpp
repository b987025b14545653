#pragma once
// What a node answers: the one table of commands, over a store and an overlay.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dht/overlay.hpp"
#include "node/lookups.hpp"
#include "node/store.hpp"
#include "protocol/service.hpp"

namespace node {

struct Command;

/// What the node cannot know by itself; handed in by the program (and by the
/// tests). Thread-safe.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  using Numbers = std::vector<std::pair<std::string, std::uint64_t>>;

  /// The counter of this name, "cmd." and "get" for one, new or known. Asked
  /// for when the node is made.
  virtual unsigned counter(std::string_view prefix, std::string_view name) = 0;
  /// Adds one to it.
  virtual void count(unsigned counter) = 0;
  /// All counters with this prefix, and their sums.
  virtual Numbers totals(std::string_view prefix) const = 0;
  /// The fields of an INFO section ("server", "clients", "memory", "stats",
  /// "syscalls", "model") that belong to the process: "process_id" "4711" ...
  /// CONFIG GET takes "maxclients" from "clients", "tcp_port" from "server".
  virtual std::vector<std::pair<std::string, std::string>> fields(
      std::string_view section) const = 0;
};

struct Setup {
  dht::Placement placement = dht::Placement::slots;
  dht::Hash hash = nullptr;               // for Placement::sha1
  const dht::Overlay* overlay = nullptr;  // null: no ring, every key is ours
  Lookups* lookups = nullptr;             // null: no other nodes can be asked
  std::string address;                    // "127.0.0.1:7000", announced
  std::string id;                         // 40 hex digits
  protocol::Limits limits;
};

/// Thread-safe, as store and surroundings are.
class Node final : public protocol::Service {
 public:
  /// All that is handed in outlives the node. With an overlay, its self() goes
  /// before `address` and `id`; without one, an `id` that is not 40 hex digits
  /// is a std::invalid_argument.
  Node(Setup setup, Store& store, Surroundings& surroundings);
  ~Node() override;

  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override;
  void protocol_error(std::string_view name) override;
  void no_memory() override { surroundings_.count(lost_); }
  const protocol::Limits& limits() const override { return setup_.limits; }
  protocol::Budget& budget() override { return budget_; }

  // What the commands work with.
  const Setup& setup() const { return setup_; }
  /// The ring; without one, a ring of this node alone.
  const dht::Overlay& overlay() const { return *overlay_; }
  Store& store() const { return store_; }
  std::size_t buffers_used() const { return budget_.used(); }
  const Surroundings& surroundings() const { return surroundings_; }
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
  bool answerable(const Command& command,
                  std::span<const std::string_view> arguments,
                  protocol::Reply& reply, bool asked) const;
  void redirect(std::string_view key, const dht::Id& id,
                std::span<const std::string_view> arguments,
                protocol::Reply& reply) const;

  const Setup setup_;
  const std::unique_ptr<const dht::Overlay> alone_;  // if there is no ring
  const dht::Overlay* const overlay_;
  Store& store_;
  Surroundings& surroundings_;
  protocol::Budget budget_;
  std::atomic<std::uint64_t> clients_{0};  // numbers given
  std::vector<unsigned> counters_;         // one for each row of the table
  unsigned unknown_;                       // commands that no row knows
  unsigned lost_;                          // conversations, without memory
  std::vector<unsigned> protocol_errors_;  // one for each name, and "other"
};

/// The command table as a page of documentation, in Markdown.
std::string commands_page();

}  // namespace node
