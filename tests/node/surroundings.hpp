#pragma once
// What a node is told by its process, as a table in memory.

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/node.hpp"

namespace node {

class TestSurroundings final : public Surroundings {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  unsigned counter(std::string_view prefix, std::string_view name) override {
    const auto full = std::string(prefix) + std::string(name);
    for (unsigned i = 0; i < counts_.size(); ++i)
      if (counts_[i].first == full) return i;
    counts_.emplace_back(full, 0);
    return static_cast<unsigned>(counts_.size() - 1);
  }
  std::uint64_t count(unsigned counter, std::uint64_t n) override {
    return counts_.at(counter).second += n;
  }
  Numbers totals(std::string_view prefix) const override {
    ++summed;
    Numbers result;
    for (const auto& [name, number] : counts_)
      if (name.starts_with(prefix))
        result.emplace_back(name.substr(prefix.size()), number);
    return result;
  }
  Fields fields(std::string_view section) const override {
    const auto found = sections.find(section);
    return found == sections.end() ? Fields{} : found->second;
  }

  std::size_t threads() const override { return thread_count; }
  std::uint64_t now_ns() const override { return now += each_ns; }

  /// The sum of one counter, by its whole name: "cmd.get".
  std::uint64_t total(std::string_view name) const {
    for (const auto& [known, number] : counts_)
      if (known == name) return number;
    return 0;
  }

  std::map<std::string, Fields, std::less<>> sections;
  std::size_t thread_count = 1;
  mutable std::size_t summed = 0;  // how often totals() was asked
  /// The clock goes so much further with each look at it.
  std::uint64_t each_ns = 0;
  mutable std::uint64_t now = 0;

 private:
  Numbers counts_;
};

}  // namespace node
