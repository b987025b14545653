#pragma once
// A node's questions to other nodes: the agenda that the model's client runs
// for it. An iterative lookup asks one node after another for the next step;
// proxying asks the owner, once found, the client's own command.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "dht/overlay.hpp"
#include "protocol/agenda.hpp"
#include "protocol/service.hpp"

namespace node {

/// Thread-safe: lookups are begun by the server's loops, while converse() runs
/// the agenda. Each lookup sends exactly one Letter to its return address, be
/// it an error: "ERR lookup: 127.0.0.1:7003 did not answer within 1000 ms".
///
/// A question that a node does not answer in time is given up, and its reply
/// is dropped if it comes after all. A node that refuses or closes is an error
/// at once; only where a connection had stood idle, and may have been dead for
/// long, the question (never a command) is asked once more over a new one. A
/// node that names one which is not nearer to the key ends the lookup with
/// CLUSTERDOWN: it could go on for ever. Nobody is asked but the overlay's
/// members.
///
/// A connection over which nothing has come for a hop's time, though an answer
/// was owed, or which took that long to be made, is given up: a node that has
/// vanished without a word and comes back is asked over a new one. What was
/// asked over the old one and still has time is asked again (never a command).
class Lookups final : public protocol::Agenda {
 public:
  /// `mailbox` is that of converse(). `hop_time` is how long one node
  /// may take to answer one question, connecting included. `value_max` bounds
  /// what another node can have us keep: a reply of more than a value of so
  /// many bytes ends its connection. Overlay and mailbox outlive this.
  Lookups(const dht::Overlay& overlay, protocol::Postbox& mailbox,
          std::chrono::milliseconds hop_time, std::size_t value_max);
  ~Lookups() override;

  // Both may throw std::bad_alloc; then there will be no letter. Whatever there
  // is no memory for later ends that lookup, with an error.

  /// DHT.LOOKUP: the letter is the array of hops, each of [identifier, address,
  /// rule that chose it, microseconds from the beginning to its answer], we
  /// ourselves first ("start"), the owner last. `version` is the RESP version
  /// of the client who waits.
  void lookup(const dht::Id& key, protocol::ReturnAddress to, int version);
  /// DHT.MODE proxy: finds the owner, asks it the command (behind ASKING), and
  /// the letter is its answer. For keys of other nodes: one that is our own is
  /// answered with an error. The command is copied.
  void proxy(const dht::Id& key, std::span<const std::string_view> command,
             protocol::ReturnAddress to, int version);
  /// Every lookup that runs, and every one that comes later, is answered with
  /// an error; then over().
  void stop();

  /// How many run, and how many have ended ever (INFO).
  std::uint64_t running() const;
  std::uint64_t ended() const;

  protocol::Peer* next() override;
  protocol::Peer* due(protocol::Nanoseconds now) override;
  protocol::Nanoseconds next_due() override;
  protocol::Peer* given_up() override;
  bool over() override;
  void looked(protocol::Nanoseconds then) override;
  bool overdue(protocol::Nanoseconds now) override;
  void connected(protocol::Peer& peer) override;
  void say(protocol::Peer& peer, protocol::Nanoseconds now) override;
  void hand_over(protocol::Peer& peer, protocol::Nanoseconds now) override;
  void closed(protocol::Peer& peer, std::string_view why) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace node
