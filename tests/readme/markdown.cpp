#include "tests/readme/markdown.hpp"

#include <optional>
#include <sstream>

namespace readme {
namespace {

constexpr std::string_view fence = "```", indentation = "    ";

// Is the line one of a list, or does it go on with one?
bool belongs_to_list(std::string_view line, bool before) {
  if (line.empty()) return before;
  if (line.starts_with("- ") || line.starts_with("* ")) return true;
  const std::size_t digits = line.find_first_not_of("0123456789");
  if (digits != 0 && line.substr(digits).starts_with(". ")) return true;
  return before && line.starts_with(" ");
}

}  // namespace

std::vector<Block> blocks_of(std::string_view page) {
  std::vector<Block> blocks;
  std::istringstream text{std::string(page)};
  std::optional<Block> open;
  bool fenced = false, list = false, blank = true;
  const auto close = [&] {
    if (open) blocks.push_back(*std::move(open));
    open.reset();
    fenced = false;
  };
  int number = 0;
  for (std::string line; std::getline(text, line);) {
    ++number;
    const bool fences = line.starts_with(fence);
    if (fenced || fences) {
      if (!fences) {
        open->lines.push_back(line);
      } else if (fenced) {
        close();
      } else {
        close();
        fenced = true;
        open = Block{number + 1, line.substr(fence.size()), {}};
      }
      continue;
    }
    list = belongs_to_list(line, list);
    const bool indented = line.starts_with(indentation) && !list;
    if (indented && (open || blank)) {
      if (!open) open = Block{number, "", {}};
      open->lines.push_back(line.substr(indentation.size()));
    } else if (!line.empty()) {
      close();
    }
    blank = line.empty();
  }
  close();
  return blocks;
}

}  // namespace readme
