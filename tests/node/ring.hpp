#pragma once
// A ring of nodes in memory, each with its own store and table.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "dht/chord.hpp"
#include "tests/node/asker.hpp"

namespace node {

inline std::vector<dht::Member> test_members(unsigned count) {
  std::vector<dht::Member> members;
  for (unsigned i = 0; i < count; ++i) {
    const auto address = "127.0.0.1:" + std::to_string(7000 + i);
    members.push_back({test_hash(address), address});
  }
  return members;
}

/// One of them.
struct Seat {
  static Setup setup_for(const dht::Chord& chord, dht::Placement placement,
                         Redirect redirect = Redirect::hop) {
    auto setup = Host::setup();
    setup.placement = placement;
    setup.redirect = redirect;
    setup.overlay = &chord;
    return setup;
  }
  Seat(const std::vector<dht::Member>& members, std::size_t self,
       dht::Placement placement, Redirect redirect)
      : chord({}, members, members[self].id),
        host(setup_for(chord, placement, redirect)),
        asker(host.node) {}

  dht::Chord chord;
  Host host;
  Asker asker;
};

class Ring {
 public:
  explicit Ring(unsigned count,
                dht::Placement placement = dht::Placement::slots,
                Redirect redirect = Redirect::hop)
      : members(test_members(count)) {
    for (std::size_t i = 0; i < count; ++i)
      seats.push_back(std::make_unique<Seat>(members, i, placement, redirect));
  }
  Seat& at(std::string_view address) {
    return **std::ranges::find_if(seats, [&](const auto& seat) {
      return seat->chord.self().address == address;
    });
  }
  /// Where the key belongs.
  Seat& owner(std::string_view key) {
    const auto id = seats[0]->host.node.place(key);
    return at(seats[0]->chord.owner_of(id).address);
  }

  std::vector<dht::Member> members;
  std::vector<std::unique_ptr<Seat>> seats;
};

}  // namespace node
