#pragma once
// Rings of servers, and peers in them that are none.

#include <string>
#include <vector>

#include "tests/conformance/server.hpp"

namespace conformance {

/// The fixture of tests with rings.
class RingTest : public ServerTest {
 protected:
  void SetUp() override;

  /// `programs`, one node each, on sockets that the test has bound; `others`
  /// are addresses in the list at which no node of ours is.
  std::vector<Server*> start_ring(const std::vector<Program>& programs,
                                  const Arguments& options = {},
                                  const std::vector<std::string>& others = {});
  /// `count` nodes of the program under test.
  std::vector<Server*> start_ring(std::size_t count,
                                  const Arguments& options = {},
                                  const std::vector<std::string>& others = {});

 private:
  std::vector<Server*> launch_ring(const std::vector<Program>& programs,
                                   const Arguments& options,
                                   const std::vector<std::string>& others);
};

/// The addresses of a lookup's hops, the asked node first; and their rules.
struct Path {
  std::vector<std::string> addresses, rules;
  bool operator==(const Path&) const = default;
};
void PrintTo(const Path& path, std::ostream* out);
/// Throws Trouble if the reply is not that of DHT.LOOKUP.
Path path_of(const Reply& reply);
Path look_up(Peer& node, const std::string& key);

/// The address of a key's owner, as a node has it from the list of members.
std::string owner_of(Peer& node, const std::string& key);
/// Who owns which slot, by CLUSTER SLOTS; "" if nobody does. Throws Trouble if
/// two do.
std::vector<std::string> owners_of_slots(Peer& node);
/// The slot of a key without braces, reckoned here.
std::size_t slot_of(const std::string& key);
/// `count` keys that belong to an address, where slots place them.
std::vector<std::string> keys_of(Peer& node, const std::string& address,
                                 std::size_t count);

/// A node that has died without a word: its kernel still takes connections,
/// and nobody ever answers.
class SilentNode {
 public:
  SilentNode();
  std::string address() const { return address_of(socket_); }

 private:
  Descriptor socket_;
};

}  // namespace conformance
