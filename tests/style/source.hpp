#pragma once
// A source file taken apart as far as the rules of style need it: what is code,
// what is comment, where functions begin and end. No compiler: it understands
// the C++ that this project writes, formatted by clang-format.

#include <string>
#include <string_view>
#include <vector>

namespace style {

struct Line {
  int number = 0;       // from 1
  std::string text;     // as it stands in the file
  std::string code;     // without comments; literals whole
  std::string masked;   // without comments; literals empty
  std::string comment;  // what stands behind // or between /* and */
  bool is_code() const;
};

/// The lines of a C++ source. Line comments, block comments, strings, raw
/// strings, characters and digit separators are told apart.
std::vector<Line> lines_of(std::string_view source);

/// Lines with code on them: neither blank nor comment alone.
int count_code(const std::vector<Line>& lines);

struct Function {
  std::string name;
  int line = 0;        // of its opening brace
  int code_lines = 0;  // from the opening brace to the closing one
};

/// Definitions of functions at namespace or class scope. A lambda belongs to
/// the function around it.
std::vector<Function> functions_of(const std::vector<Line>& lines);

struct Include {
  int line = 0;
  bool quoted = false;
  std::string path;
};

std::vector<Include> includes_of(const std::vector<Line>& lines);

/// The words that the code (not the comments, not the literals) is made of.
struct Word {
  int line = 0;
  std::string text;
  bool is_member = false;  // behind . -> or ::
};

std::vector<Word> words_of(const std::vector<Line>& lines);

/// Contents of the string literals of one line.
std::vector<std::string> literals_of(const Line& line);

}  // namespace style
