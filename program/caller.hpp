#pragma once
// Lets a thread ask and wait, while another one runs the model's client: what
// makes a client's course of action readable from top to bottom.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "program/answer.hpp"
#include "protocol/agenda.hpp"
#include "protocol/service.hpp"

namespace program {

using Command = std::vector<std::string>;

/// There is no answer, and why.
class NoAnswer : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The agenda of a program that asks one thing after another. One thread asks;
/// any number runs the model's side. Connections are made when they are first
/// needed, and kept.
class Caller final : public protocol::Agenda {
 public:
  /// `mailbox` is that of converse(), and outlives this. `timeout` is
  /// for each call of ask(), connecting included.
  Caller(protocol::Postbox& mailbox, std::chrono::milliseconds timeout)
      : mailbox_(mailbox), timeout_(timeout) {}

  /// Sends the command and waits for the reply, errors of the server included.
  /// `address` as net::parse_address() takes it. Throws NoAnswer; once that was
  /// for lateness, always.
  Answer ask(const std::string& address, const Command& command);
  /// The same of many at once; so many replies, in that order.
  std::vector<Answer> ask(const std::string& address,
                          std::span<const Command> commands);
  /// Nothing more will be asked: converse() returns.
  void stop();
  /// converse() has failed: whoever waits is told why, and who asks later.
  void fail(const std::string& why);

  protocol::Peer* next() override;
  protocol::Peer* due(protocol::Nanoseconds now) override;
  protocol::Nanoseconds next_due() override;
  bool over() override;
  void looked(protocol::Nanoseconds then) override;
  bool overdue(protocol::Nanoseconds now) override;
  void connected(protocol::Peer& peer) override;
  void say(protocol::Peer& peer, protocol::Nanoseconds now) override;
  void hand_over(protocol::Peer& peer, protocol::Nanoseconds now) override;
  void closed(protocol::Peer& peer, std::string_view why) override;

 private:
  /// A node that has been asked, and what it is being asked now.
  struct Contact : protocol::Peer {
    enum class State { away, wanted, connecting, connected };
    State state = State::away;
    std::span<const Command> unsaid;  // lent by ask(), while it waits
    bool due = false;                 // handed out by due(), not yet said
    std::size_t awaited = 0;          // replies
    std::vector<Answer> answers;
    std::string error;
  };

  Contact& contact(const std::string& address);
  bool settled(const Contact& contact) const;
  bool await_look(std::unique_lock<std::mutex>& lock, const Contact& asked);

  protocol::Postbox& mailbox_;
  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<Contact> contacts_;  // does not move them
  bool over_ = false;
  // Since when somebody waits for every socket to be looked at; never: nobody.
  protocol::Nanoseconds look_since_ = protocol::never;
  std::string failure_;
};

}  // namespace program
