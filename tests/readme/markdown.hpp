#pragma once
// The blocks of code in a page of Markdown.

#include <string>
#include <string_view>
#include <vector>

namespace readme {

struct Block {
  int line = 0;                    // of its first line of text, from 1
  std::string kind;                // "sh", "sh slow", "text"; indented: ""
  std::vector<std::string> lines;  // without fence or indentation
};

/// Fenced blocks, and those that are indented by four spaces behind an empty
/// line and belong to no list.
std::vector<Block> blocks_of(std::string_view page);

}  // namespace readme
