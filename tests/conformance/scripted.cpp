#include "tests/conformance/scripted.hpp"

#include <sys/socket.h>

namespace conformance {

Scripted::Scripted(Script script, Descriptor socket)
    : script_(std::move(script)),
      listener_(std::move(socket)),
      address_(address_of(listener_)) {
  if (::listen(listener_.get(), 100) != 0) throw Trouble("listen failed");
  thread_ = std::thread([this] { play(); });
}

// A listener that is shut down fails the accept that sleeps on it.
Scripted::~Scripted() {
  over_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  thread_.join();
}

std::string Scripted::port() const {
  return address_.substr(address_.rfind(':') + 1);
}

void Scripted::play() {
  while (!over_) {
    Descriptor socket(
        ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket.get() < 0) continue;
    Peer peer(std::move(socket));
    try {
      script_(peer);
    } catch (const Trouble&) {
      // The client has left, as it may.
    }
  }
}

Scripted::Script answering(
    std::function<std::string(const std::vector<std::string>&)> answer) {
  return [answer = std::move(answer)](Peer& peer) {
    for (;;) {
      std::vector<std::string> words;
      for (const Reply& word : peer.reply().items) words.push_back(word.text);
      peer.send(answer(words));
    }
  };
}

}  // namespace conformance
