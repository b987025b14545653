#include "tests/style/source.hpp"

#include <algorithm>
#include <cctype>
#include <regex>

namespace style {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t") == text.npos;
}

// One pass over the source, one character after the other.
class Reader {
 public:
  explicit Reader(std::string_view source) : rest_(source) { begin_line(); }

  std::vector<Line> read() {
    while (!rest_.empty()) step();
    if (!line().text.empty()) return std::move(lines_);
    lines_.pop_back();  // behind the last newline there is no line
    return std::move(lines_);
  }

 private:
  enum class In { code, line_comment, block_comment, string, character, raw };

  Line& line() { return lines_.back(); }
  void begin_line() {
    lines_.emplace_back();
    line().number = static_cast<int>(lines_.size());
  }

  void step() {
    const char c = rest_[0];
    if (c == '\n') {
      rest_.remove_prefix(1);
      if (in_ == In::line_comment) in_ = In::code;
      return begin_line();
    }
    switch (in_) {
      case In::code:
        return code(c);
      case In::line_comment:
        return take(1, Part::comment);
      case In::block_comment:
        return block_comment();
      case In::string:
        return quoted('"');
      case In::character:
        return quoted('\'');
      case In::raw:
        return raw();
    }
  }

  enum class Part { code, literal, comment, none };

  void take(std::size_t n, Part part) {
    const std::string_view bytes = rest_.substr(0, n);
    line().text += bytes;
    if (part == Part::code || part == Part::literal) line().code += bytes;
    if (part == Part::code) line().masked += bytes;
    if (part == Part::comment) line().comment += bytes;
    rest_.remove_prefix(bytes.size());
  }

  void code(char c) {
    if (rest_.starts_with("//")) return enter(In::line_comment, 2, Part::none);
    if (rest_.starts_with("/*")) return enter(In::block_comment, 2, Part::none);
    if (c == '"' && line().code.ends_with('R')) {
      ending_ = ")" + std::string(rest_.substr(1, rest_.find('(') - 1)) + "\"";
      return enter(In::raw, 1, Part::code);
    }
    if (c == '"') return enter(In::string, 1, Part::code);
    const bool separator = !line().code.empty() && is_word(line().code.back());
    if (c == '\'' && !separator) return enter(In::character, 1, Part::code);
    take(1, Part::code);
  }

  void enter(In in, std::size_t n, Part part) {
    in_ = in;
    take(n, part);
  }

  void block_comment() {
    if (rest_.starts_with("*/")) return enter(In::code, 2, Part::none);
    take(1, Part::comment);
  }

  void quoted(char quote) {
    if (rest_[0] == '\\') return take(2, Part::literal);
    if (rest_[0] == quote) return enter(In::code, 1, Part::code);
    take(1, Part::literal);
  }

  void raw() {
    if (!rest_.starts_with(ending_)) return take(1, Part::literal);
    take(ending_.size() - 1, Part::literal);
    enter(In::code, 1, Part::code);
  }

  std::string_view rest_;
  In in_ = In::code;
  std::string ending_;  // of the raw string that we are in
  std::vector<Line> lines_;
};

// What stands before an opening brace says what the brace opens.
enum class Opens { scope, function, member, other };

Opens what_opens(const std::string& raw) {
  static const std::regex scope(
      R"(^\s*(inline )?(namespace|class|struct|union)\b)");
  static const std::regex members(R"(\)[^()]*[^:]:[^:])");
  // What must not be mistaken: parameters of templates, labels, operators and
  // attributes.
  static const std::regex confusing(
      R"(template <[^{}]*?> ?(?=\w)|\b(public|private|protected):|)"
      R"(operator\s*[^\s\w(]+|\[\[[^\]]*\]\])");
  const std::string head = std::regex_replace(raw, confusing, "");
  if (std::regex_search(head, scope)) return Opens::scope;
  const auto parenthesis = head.find('(');
  if (parenthesis == head.npos) return Opens::other;
  if (head.substr(0, parenthesis).find('=') != head.npos) return Opens::other;
  const auto last = head.find_last_not_of(" \n");
  if (std::regex_search(head, members) &&
      (is_word(head[last]) || head[last] == '>'))
    return Opens::member;
  return Opens::function;
}

std::string name_in(const std::string& head) {
  static const std::regex name(R"(([~\w:]+)\s*\(([^()]*)\))");
  std::smatch found;
  if (!std::regex_search(head, found, name)) return "?";
  if (!found[1].str().starts_with("TEST")) return found[1];
  return found[0];
}

class Functions {
 public:
  explicit Functions(const std::vector<Line>& lines) : lines_(lines) {}

  std::vector<Function> find() {
    for (const Line& line : lines_) {
      if (continued_ || line.masked.starts_with("#")) {
        continued_ = line.masked.ends_with("\\");
        continue;
      }
      for (const char c : line.masked) step(c, line.number);
      head_ += ' ';
    }
    return std::move(found_);
  }

 private:
  void step(char c, int number) {
    if (depth_ > 0)
      inside(c, number);
    else if (c == '{')
      open(number);
    else if (c == ';' || c == '}')
      head_.clear();
    else
      head_ += c;
  }

  void open(int number) {
    opened_ = what_opens(head_);
    if (opened_ == Opens::scope) return head_.clear();
    depth_ = 1;
    if (opened_ == Opens::function)
      found_.push_back({name_in(head_), number, 0});
  }

  void inside(char c, int number) {
    depth_ += (c == '{') - (c == '}');
    if (depth_ > 0) return;
    if (opened_ == Opens::function) measure(found_.back(), number);
    // A member's initializer: the constructor's body is still to come.
    if (opened_ != Opens::member) head_.clear();
    if (opened_ == Opens::member) head_ += ")";
  }

  void measure(Function& function, int last) {
    for (int n = function.line; n <= last; ++n)
      function.code_lines += lines_[static_cast<std::size_t>(n - 1)].is_code();
  }

  const std::vector<Line>& lines_;
  std::vector<Function> found_;
  std::string head_;
  Opens opened_ = Opens::other;
  int depth_ = 0;
  bool continued_ = false;
};

}  // namespace

bool Line::is_code() const { return !is_blank(code); }

std::vector<Line> lines_of(std::string_view source) {
  return Reader(source).read();
}

int count_code(const std::vector<Line>& lines) {
  return static_cast<int>(
      std::ranges::count_if(lines, [](const Line& l) { return l.is_code(); }));
}

std::vector<Function> functions_of(const std::vector<Line>& lines) {
  return Functions(lines).find();
}

std::vector<Include> includes_of(const std::vector<Line>& lines) {
  constexpr std::string_view start = "#include ";
  std::vector<Include> found;
  for (const Line& line : lines) {
    if (!line.code.starts_with(start)) continue;
    const auto end = line.code.find_first_of("\">", start.size() + 1);
    if (end == line.code.npos) continue;
    found.push_back(
        {line.number, line.code[start.size()] == '"',
         line.code.substr(start.size() + 1, end - start.size() - 1)});
  }
  return found;
}

std::vector<Word> words_of(const std::vector<Line>& lines) {
  std::vector<Word> found;
  for (const Line& line : lines) {
    const std::string_view text = line.masked;
    if (text.starts_with('#')) continue;
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t begin = i;
      while (i < text.size() && is_word(text[i])) ++i;
      if (i == begin) {
        ++i;
        continue;
      }
      if (std::isdigit(static_cast<unsigned char>(text[begin]))) continue;
      const std::string_view before = text.substr(0, begin);
      found.push_back({line.number, std::string(text.substr(begin, i - begin)),
                       before.ends_with('.') || before.ends_with("->") ||
                           before.ends_with("::")});
    }
  }
  return found;
}

std::vector<std::string> literals_of(const Line& line) {
  static const std::regex literal(R"re("((?:[^"\\]|\\.)*)")re");
  std::vector<std::string> found;
  if (line.code == line.masked) return found;
  for (std::sregex_iterator i(line.code.begin(), line.code.end(), literal), end;
       i != end; ++i)
    found.push_back((*i)[1]);
  return found;
}

}  // namespace style
