#pragma once
// A client that walks the ring by itself: it asks each node for the next step.

#include <string>
#include <vector>

#include "program/caller.hpp"

namespace program {

/// A node on the way, and by which rule the one before it chose it ("start" for
/// the first).
struct Step {
  std::string id;  // 40 digits
  std::string address;
  std::string rule;
};

/// The way from the node at `address` to the owner of the key, both included,
/// by DHT.NEXT (iterative lookup, Chord, section 4.4). Throws NoAnswer; so it
/// does when a node is met twice, since then the way has no end.
std::vector<Step> look_up(Caller& caller, const std::string& address,
                          const std::string& key);

/// The steps for people, a line each; says who owns the key.
std::string print_steps(const std::string& key, const std::vector<Step>& steps);

}  // namespace program
