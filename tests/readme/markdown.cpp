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

/// Line by line.
class Reader {
 public:
  void read(const std::string& line, int number) {
    const bool fences = line.starts_with(fence);
    if (fenced_ || fences)
      fences ? toggle(line, number) : open_->lines.push_back(line);
    else
      read_text(line, number);
  }

  std::vector<Block> finish() {
    close();
    return std::move(blocks_);
  }

 private:
  void toggle(const std::string& line, int number) {
    const bool begins = !fenced_;
    close();
    fenced_ = begins;
    if (begins) open_ = Block{number + 1, line.substr(fence.size()), {}};
  }

  void read_text(const std::string& line, int number) {
    list_ = belongs_to_list(line, list_);
    const bool indented = line.starts_with(indentation) && !list_;
    if (indented && (open_ || blank_)) {
      if (!open_) open_ = Block{number, "", {}};
      open_->lines.push_back(line.substr(indentation.size()));
    } else if (!line.empty()) {
      close();
    }
    blank_ = line.empty();
  }

  void close() {
    if (open_) blocks_.push_back(*std::move(open_));
    open_.reset();
    fenced_ = false;
  }

  std::vector<Block> blocks_;
  std::optional<Block> open_;
  bool fenced_ = false, list_ = false, blank_ = true;
};

}  // namespace

std::vector<Block> blocks_of(std::string_view page) {
  std::istringstream text{std::string(page)};
  Reader reader;
  int number = 0;
  for (std::string line; std::getline(text, line);) reader.read(line, ++number);
  return reader.finish();
}

}  // namespace readme
