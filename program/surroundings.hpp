#pragma once
// What a node's INFO says about its process.

#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/clients.hpp"
#include "net/clock.hpp"
#include "net/counters.hpp"
#include "net/model.hpp"
#include "node/node.hpp"

namespace program {

/// Thread-safe. All that is handed in outlives it. Where peers are served by
/// children, it is made by their parent: the process is all of them together
/// (and, in what /proc tells of them, children from before its exec(2)).
class Surroundings final : public node::Surroundings {
 public:
  /// `address` is the one that was bound.
  Surroundings(const net::Model& model, const net::Options& options,
               const net::Clients& clients, const std::string& address);

  unsigned counter(std::string_view prefix, std::string_view name) override {
    return net::counter(prefix, name);
  }
  std::uint64_t count(unsigned counter, std::uint64_t n) override {
    return net::count(counter, n);
  }
  Numbers totals(std::string_view prefix) const override {
    return net::totals(prefix);
  }
  std::size_t threads() const override { return net::counting_threads(); }
  std::uint64_t now_ns() const override {
    return static_cast<std::uint64_t>(net::now());
  }
  /// Of "server", "clients", "memory", "stats", "cpu" and "syscalls" (the
  /// ideals).
  Fields fields(std::string_view section) const override;

 private:
  Fields server() const;
  Fields stats() const;

  const net::Model& model_;
  const net::Options& options_;
  const net::Clients& clients_;
  const std::string port_;    // 0 for a Unix socket
  const std::string system_;  // the operating one
  const pid_t process_ = ::getpid();
  const protocol::Nanoseconds began_ = net::now();
};

/// One line of JSON, without its end: what this process has done.
std::string summary(const net::Model& model, const net::Clients& clients);

}  // namespace program
