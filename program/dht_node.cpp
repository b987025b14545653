#include "program/dht_node.hpp"

#include <sys/random.h>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "dht/chord.hpp"
#include "net/error.hpp"
#include "program/sha1.hpp"

namespace program {
namespace {

node::HashKey random_key() {
  node::HashKey key;
  if (::getrandom(&key, sizeof key, 0) != sizeof key)
    net::fail(errno, "getrandom");
  return key;
}

/// What the store, its lock and the node's sums lie in. Addresses are asked
/// for, no memory yet; ulimit -v can refuse them, and so can a kernel that
/// promises no more memory than it has.
net::SharedMemory memory_for(std::size_t memory_max) {
  constexpr std::size_t beside = 4096;
  try {
    return net::SharedMemory(node::Store::region_size(memory_max) + beside);
  } catch (const std::system_error& error) {
    const bool large = memory_max > std::size_t{16} << 20;
    throw std::runtime_error(
        std::string(error.what()) + ": the store's memory cannot be had; try " +
        (large ? "--max-memory 16m"
               : "--max-memory 64k, or a larger ulimit -v"));
  }
}

dht::Member member(const std::string& address) {
  return {sha1(address), address};
}

}  // namespace

DhtNode::DhtNode(const ServerOptions& options, Host& host)
    : options_(options),
      self_(
          member(options.announce.empty() ? host.address() : options.announce)),
      memory_(memory_for(options.memory_max)),
      lock_(memory_.resource()),
      store_(memory_.resource(), lock_, options.memory_max, random_key(),
             [this](std::string_view key) { return node_.slot(key); }),
      surroundings_(model::server, options.net, host.clients(), host.address()),
      node_(setup(), store_, surroundings_) {}

// Makes the ring too, if there is one. Nobody else is asked by a node that is
// alone, and by one whose commands are answered in processes of their own.
node::Setup DhtNode::setup() {
  std::vector<dht::Member> members;
  for (const std::string& address : options_.ring)
    members.push_back(member(address));
  if (!members.empty())
    ring_.emplace(dht::Space{}, std::move(members), self_.id, options_.routing);
  if (options_.ring.size() > 1 && !Host::forks())
    lookups_.emplace(*ring_, mailbox_, options_.lookup_time,
                     options_.net.limits.bulk_max);
  return {.placement = options_.keys,
          .hash = sha1,
          .overlay = ring_ ? &*ring_ : nullptr,
          .lookups = lookups_ ? &*lookups_ : nullptr,
          .redirect = options_.redirect,
          .self = self_,
          .limits = options_.net.limits,
          .shared = &memory_.resource()};
}

void DhtNode::start(const Begin& begin) {
  if (lookups_)
    begin("converse",
          [this] { model::converse(*lookups_, mailbox_, options_.net); });
}

void DhtNode::stop() {
  if (lookups_) lookups_->stop();
  mailbox_.stop();
}

}  // namespace program
