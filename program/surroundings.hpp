#pragma once
// What a node's INFO says about its process.

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/clients.hpp"
#include "net/model.hpp"
#include "node/node.hpp"

namespace program {

/// Thread-safe. All that is handed in outlives it.
class Surroundings final : public node::Surroundings {
 public:
  /// `port` is the one that was bound; 0 for a Unix socket.
  Surroundings(const net::Model& model, const net::Options& options,
               const net::Clients& clients, std::uint16_t port);

  unsigned counter(std::string_view prefix, std::string_view name) override;
  std::uint64_t count(unsigned counter, std::uint64_t n) override;
  Numbers totals(std::string_view prefix) const override;
  std::size_t threads() const override;
  std::uint64_t now_ns() const override;
  /// Of "server", "clients", "memory", "stats", "cpu" and "syscalls" (the
  /// ideals).
  std::vector<std::pair<std::string, std::string>> fields(
      std::string_view section) const override;

 private:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  Fields server() const;
  Fields clients() const;
  Fields memory() const;
  Fields stats() const;
  Fields cpu() const;
  Fields ideals() const;

  const net::Model& model_;
  const net::Options& options_;
  const net::Clients& clients_;
  const std::uint16_t port_;
  const std::string system_;  // the operating one
  const std::chrono::steady_clock::time_point began_;
};

/// One line of JSON, without its end: what this process has done.
std::string summary(const net::Model& model, const net::Clients& clients);

}  // namespace program
