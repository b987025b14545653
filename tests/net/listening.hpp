#pragma once
// A listener with its peers, for the tests of all that it is made of.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string>

#include "net/address.hpp"
#include "net/clients.hpp"
#include "net/endpoint.hpp"
#include "net/listener.hpp"

namespace tests {

inline net::Options options_for(const std::string& bind) {
  net::Options options;
  options.bind = bind;
  options.port = 0;
  return options;
}

/// A peer; waits until it is connected.
inline net::Fd connect_to(const std::string& address) {
  const auto to = net::parse_address(address);
  net::Fd socket = net::open_socket(*to, 0);
  if (::connect(socket.get(), to->get(), to->length) != 0) return {};
  return socket;
}

/// Why a peer is not let in; 0: it is.
inline int refusal_of(const std::string& address) {
  const auto to = net::parse_address(address);
  const net::Fd socket = net::open_socket(*to, 0);
  return ::connect(socket.get(), to->get(), to->length) == 0 ? 0 : errno;
}

inline int accept_from(const net::Listener& listener) {
  pollfd waiting{listener.fd(), POLLIN, 0};
  ::poll(&waiting, 1, 10'000);
  return ::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
}

class ListenerTest : public testing::Test {
 protected:
  net::Listener& open(const net::Options& options, int flags = SOCK_NONBLOCK) {
    options_ = options;
    listener_ = std::make_unique<net::Listener>(
        options_, clients_, [this](const std::string& url) { url_ = url; });
    listener_->open(flags);
    return *listener_;
  }
  std::string address() const { return net::address_of(listener_->fd()); }

  net::Options options_;
  net::Clients clients_;
  std::unique_ptr<net::Listener> listener_;
  std::string url_;
};

}  // namespace tests
