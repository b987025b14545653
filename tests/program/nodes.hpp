#pragma once
// Nodes in memory: they take the part of a model's client and of all servers,
// and say what the test wants them to.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "protocol/agenda.hpp"
#include "protocol/parser.hpp"
#include "protocol/service.hpp"

namespace nodes {

/// What a node does with a request.
struct Doing {
  enum class Kind { answer, refuse, close, silence } kind = Kind::answer;
  std::string bytes;  // the answer, in RESP
};

inline Doing answer(std::string bytes) {
  return {Doing::Kind::answer, std::move(bytes)};
}
inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) +
         "\r\n";
}
inline std::string array(const std::vector<std::string>& texts) {
  std::string bytes = "*" + std::to_string(texts.size()) + "\r\n";
  for (const std::string& text : texts) bytes += bulk(text);
  return bytes;
}

class Bell final : public protocol::Postbox {
 public:
  void post(protocol::Letter) override { wake(); }
  void wake() override {
    const std::scoped_lock lock(mutex_);
    rung_ = true;
    condition_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    condition_.wait(lock, [this] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool rung_ = false;
};

using Script = std::function<Doing(const std::string& address,
                                   const std::vector<std::string>& request)>;

/// Runs an agenda until it is over. A request to connect is a script's call
/// without words: it may refuse.
class Converse {
 public:
  Converse(protocol::Agenda& agenda, Bell& bell, Script script)
      : agenda_(agenda), bell_(bell), script_(std::move(script)) {
    thread_ = std::jthread([this] { run(); });
  }

 private:
  void run() {
    while (!agenda_.over()) {
      while (protocol::Peer* peer = agenda_.next()) connect(*peer);
      while (protocol::Peer* peer = agenda_.due(0)) speak(*peer);
      bell_.wait();
      agenda_.looked(protocol::never - 1);  // nothing lies anywhere here
    }
  }

  void connect(protocol::Peer& peer) {
    if (script_(peer.address, {}).kind == Doing::Kind::refuse)
      return agenda_.closed(peer, "refused");
    agenda_.connected(peer);
    speak(peer);
  }

  void speak(protocol::Peer& peer) {
    agenda_.say(peer, 0);
    std::string bytes;
    while (peer.session.has_output()) {
      const auto lent = peer.session.output();
      bytes.append(reinterpret_cast<const char*>(lent.data()), lent.size());
      peer.session.sent(lent.size());
    }
    while (!bytes.empty()) {
      protocol::Budget budget(1 << 20);
      protocol::Pool pool(budget);
      protocol::Scratch scratch(pool);
      protocol::Progress progress;
      const auto parsed = protocol::parse_request(
          std::as_bytes(std::span(bytes)), limits_, scratch, progress);
      const auto arguments = scratch.arguments();
      const std::vector<std::string> request(arguments.begin(),
                                             arguments.end());
      bytes.erase(0, parsed.consumed);
      if (!react(peer, script_(peer.address, request))) return;
    }
  }

  /// False: the conversation is over.
  bool react(protocol::Peer& peer, const Doing& doing) {
    if (doing.kind == Doing::Kind::answer) {
      peer.session.receive(std::as_bytes(std::span(doing.bytes)));
      agenda_.hand_over(peer, 0);
    } else if (doing.kind == Doing::Kind::close) {
      peer.session.end_of_input();
      const std::string why(peer.session.error());
      agenda_.closed(peer, why);
      return false;
    }
    return true;
  }

  protocol::Agenda& agenda_;
  Bell& bell_;
  const Script script_;
  const protocol::Limits limits_;
  std::jthread thread_;
};

}  // namespace nodes
