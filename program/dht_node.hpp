#pragma once
// The application of the servers: a node of the DHT, alone or in a ring.

#include <optional>

#include "net/mailbox.hpp"
#include "net/shared_memory.hpp"
#include "node/lookups.hpp"
#include "node/node.hpp"
#include "node/store.hpp"
#include "program/host.hpp"
#include "program/options.hpp"
#include "program/surroundings.hpp"

namespace program {

/// The parts of one node, in the order in which they need each other.
class DhtNode final : public Application {
 public:
  /// Both outlive it. Throws std::runtime_error if the store's memory cannot be
  /// had, and std::system_error.
  DhtNode(const ServerOptions& options, Host& host);

  protocol::Service& service() override { return node_; }
  /// In a ring: the thread that talks to the other nodes.
  void start(const Begin& begin) override;
  void stop() override;

 private:
  node::Setup setup();

  const ServerOptions& options_;
  net::Mailbox mailbox_;  // of converse()
  const dht::Member self_;
  std::optional<dht::Chord> ring_;
  std::optional<node::Lookups> lookups_;
  net::SharedMemory memory_;
  net::RobustLock lock_;
  node::Store store_;
  Surroundings surroundings_;
  node::Node node_;
};

}  // namespace program
