#include "node/alone.hpp"

namespace node {

dht::Hop Alone::next_hop(const dht::Id&, unsigned) const {
  return {dht::Hop::Kind::here, nullptr, "owner"};
}

std::vector<dht::Range> Alone::ranges() const {
  return {{self_.id, self_.id, &self_}};
}

std::vector<dht::TableRow> Alone::table() const {
  std::vector<dht::TableRow> rows;
  rows.push_back({"successor", "", self_});
  rows.push_back({"predecessor", "", self_});
  return rows;
}

}  // namespace node
