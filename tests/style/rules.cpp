#include "tests/style/rules.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>

#include "tests/style/source.hpp"

namespace style {
namespace {

std::string at(const File& file, int line) {
  return file.path + ":" + std::to_string(line) + ": ";
}

bool contains(const auto& list, const auto& one) {
  return std::ranges::find(list, one) != list.end();
}

std::string folder_of(const File& file) {
  const auto slash = file.path.find('/');
  return slash == file.path.npos ? "" : file.path.substr(0, slash);
}

int columns_of(std::string_view text) {
  return static_cast<int>(std::ranges::count_if(text, [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// A line without differences that the formatter or a comment makes.
std::string squeezed(const std::string& code) {
  std::string text;
  std::istringstream words(code);
  for (std::string word; words >> word;)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

struct StepLine {
  int line;
  std::size_t number;
  std::string name;
};

std::vector<StepLine> step_lines(const std::vector<Line>& lines) {
  static const std::regex step(R"(^\s*(\d)\. ([A-Z]+(?: [A-Z]+)?)\b)");
  std::vector<StepLine> found;
  std::smatch match;
  for (const Line& line : lines)
    if (!line.is_code() && std::regex_search(line.comment, match, step))
      found.push_back({line.number, std::stoul(match[1]), match[2]});
  return found;
}

// From the first line of step 5 to the first of step 8.
std::optional<std::vector<std::string>> shared_steps(const File& file) {
  const auto lines = lines_of(file.text);
  const auto steps = step_lines(lines);
  const auto begin = std::ranges::find(steps, 5u, &StepLine::number);
  const auto end = std::ranges::find(steps, 8u, &StepLine::number);
  if (begin == steps.end() || end == steps.end() || begin->line > end->line)
    return std::nullopt;
  std::vector<std::string> code;
  for (const Line& line : lines)
    if (line.number >= begin->line && line.number < end->line && line.is_code())
      code.push_back(squeezed(line.code));
  return code;
}

// The parts, and what each may include.
const std::map<std::string, Names>& arrows() {
  static const std::map<std::string, Names> parts = {
      {"protocol", {"protocol"}},
      {"dht", {"dht", "protocol"}},
      {"node", {"node", "dht", "protocol"}},
      {"net", {"net", "protocol"}},
      {"program", {"program", "net", "node", "dht", "protocol"}}};
  return parts;
}

bool is_pure(const std::string& part) {
  return part == "protocol" || part == "dht" || part == "node";
}

// <poll.h> is not among them: net needs it for a full listener.
const Names& model_headers() {
  static const Names headers = {
      "sys/epoll.h", "sys/select.h",     "aio.h",          "libaio.h",
      "liburing.h",  "linux/io_uring.h", "linux/aio_abi.h"};
  return headers;
}

// Of standard headers, those by which a pure part would reach the system.
const Names& impure_headers() {
  static const Names headers = {"future",    "filesystem",        "fstream",
                                "iostream",  "csignal",           "ctime",
                                "semaphore", "condition_variable"};
  return headers;
}

std::string complaint_of(const Include& include, const File& file,
                         const Names& models) {
  const std::string part = folder_of(file);
  const std::string target = include.path.substr(0, include.path.find('/'));
  const bool shared = arrows().contains(part);
  const bool known = shared || contains(models, part);
  if (include.quoted && known) {
    Names allowed = shared ? arrows().at(part) : Names{part, "net", "protocol"};
    if (file.path.ends_with("/test.cpp") ||
        file.path.find("/test_") != file.path.npos)
      allowed.push_back("tests");
    return contains(allowed, target)
               ? ""
               : part + " may not include " + include.path;
  }
  if (include.quoted) return "";
  if (is_pure(part) && (include.path.ends_with(".h") ||
                        include.path.find('/') != include.path.npos ||
                        contains(impure_headers(), include.path)))
    return part + " is pure and may not include <" + include.path + ">";
  if (shared && contains(model_headers(), include.path))
    return "<" + include.path + "> belongs into a model's folder";
  return "";
}

// SELECT is a command of Redis's, and select(2) a model.
bool is_redis_command(const std::string& part, const std::string& word) {
  return part == "node" && word == "select";
}

std::set<std::string> code_spans(const std::string& text) {
  static const std::regex span("`([^`]+)`");
  std::set<std::string> found;
  for (std::sregex_iterator i(text.begin(), text.end(), span), end; i != end;
       ++i)
    found.insert((*i)[1]);
  return found;
}

std::vector<std::string> cells_of(const std::string& row) {
  std::vector<std::string> cells;
  std::istringstream rest(row.substr(1));
  for (std::string cell; std::getline(rest, cell, '|');)
    cells.push_back(squeezed(cell));
  return cells;
}

using Table = std::map<std::string, std::array<std::set<std::string>, 2>>;

std::optional<Table> table_of(const std::string& markdown) {
  std::istringstream lines(markdown);
  std::string line;
  while (std::getline(lines, line) &&
         !line.starts_with("| model | servers | clients")) {
  }
  if (!std::getline(lines, line)) return std::nullopt;
  Table table;
  while (std::getline(lines, line) && line.starts_with("|")) {
    const auto cells = cells_of(line);
    const auto models = code_spans(cells.at(0));
    if (cells.size() < 3 || models.size() != 1) return std::nullopt;
    table[*models.begin()] = {code_spans(cells[1]), code_spans(cells[2])};
  }
  return table;
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += " " + name;
  return text.empty() ? " nothing" : text;
}

}  // namespace

// ---- the Makefile's lists

std::vector<Variant> variants_in(std::string_view makefile,
                                 std::string_view list) {
  const std::string start = "\n" + std::string(list) + " :=";
  const auto begin = makefile.find(start);
  if (begin == makefile.npos) return {};
  std::string text;
  std::istringstream lines{std::string(makefile.substr(begin + start.size()))};
  for (std::string line; std::getline(lines, line);) {
    text += line + " ";
    if (!line.ends_with('\\')) break;
    text[text.size() - 2] = ' ';
  }
  std::vector<Variant> variants;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    Variant variant;
    std::istringstream fields(word);
    std::getline(fields, variant.model, ':');
    std::getline(fields, variant.name, ':');
    std::getline(fields, variant.kind, ':');
    variants.push_back(variant);
  }
  return variants;
}

Names models_of(const std::vector<Variant>& variants) {
  Names models;
  for (const Variant& variant : variants)
    if (!contains(models, variant.model)) models.push_back(variant.model);
  return models;
}

std::string source_of(const std::vector<Variant>& variants,
                      const Variant& variant, std::string_view side) {
  const auto first =
      std::ranges::find(variants, variant.model, &Variant::model);
  const bool is_default =
      first != variants.end() && first->name == variant.name;
  return std::string(side) + (is_default ? "" : "_" + variant.name) + ".cpp";
}

// ---- any source

Complaints check_layout(const File& file) {
  Complaints complaints;
  std::istringstream lines(file.text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (const int columns = columns_of(line); columns > 80)
      complaints.push_back(at(file, number) + std::to_string(columns) +
                           " columns");
    if (line.find('\t') != line.npos)
      complaints.push_back(at(file, number) + "a tab");
    if (line.ends_with(' ') || line.ends_with('\r'))
      complaints.push_back(at(file, number) + "a blank at the end of the line");
  }
  if (!file.text.ends_with('\n') || file.text.ends_with("\n\n"))
    complaints.push_back(file.path + ": ends with one newline");
  return complaints;
}

Complaints check_functions(const File& file, int code_lines_max) {
  Complaints complaints;
  for (const Function& f : functions_of(lines_of(file.text)))
    if (f.code_lines > code_lines_max)
      complaints.push_back(at(file, f.line) + f.name + " has " +
                           std::to_string(f.code_lines) +
                           " code lines, at most " +
                           std::to_string(code_lines_max) + " are allowed");
  return complaints;
}

Complaints check_words(const File& file) {
  static const std::regex banned(
      R"(\b(TODO|FIXME|XXX|HACK|[Ss]imply|[Oo]bviously)\b)");
  Complaints complaints;
  std::istringstream lines(file.text);
  std::smatch match;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (std::regex_search(line, match, banned))
      complaints.push_back(at(file, number) + "\"" + match[1].str() +
                           "\": finish it, or say why");
  }
  return complaints;
}

Complaints check_names(const File& file) {
  static const std::regex banned(
      "(handle|process|do)_[a-z].*|.*[Mm]anager.*|(.*_)?(util|helper)s?(_.*)?|"
      ".*_info_?|data_?|info_");
  // Names that are not ours: std::pmr's, of Redis's commands, the kernel's.
  static const Names given = {"do_allocate",  "do_deallocate", "do_is_equal",
                              "cluster_info", "command_info",  "tcp_info"};
  Complaints complaints;
  for (const Word& word : words_of(lines_of(file.text)))
    if (!word.is_member && std::regex_match(word.text, banned) &&
        !contains(given, word.text))
      complaints.push_back(at(file, word.line) + word.text +
                           ": the name does not say what it is");
  return complaints;
}

Complaints check_dead_code(const File& file) {
  static const std::regex code(
      R"(^\s*(\w[\w:.>-]*\(.*\);|.*\) \{|\}|)"
      R"((if|for|while) \(.*|return .*;|#include .*)$)");
  Complaints complaints;
  for (const Line& line : lines_of(file.text))
    if (!line.is_code() && std::regex_match(line.comment, code))
      complaints.push_back(at(file, line.number) +
                           "code that is commented out");
  return complaints;
}

Complaints check_guard(const File& file) {
  if (file.text.starts_with("#pragma once\n")) return {};
  return {at(file, 1) + "a header begins with #pragma once"};
}

// ---- the arrows between the parts

Complaints check_includes(const File& file, const Names& models) {
  Complaints complaints;
  for (const Include& include : includes_of(lines_of(file.text))) {
    const std::string why = complaint_of(include, file, models);
    if (!why.empty()) complaints.push_back(at(file, include.line) + why);
  }
  return complaints;
}

Complaints check_purity(const File& file, const Names& models) {
  static const std::regex mechanism("epoll|io_?uring|sigio|^aio_|libaio");
  static const std::regex impure(
      "^((steady|system|high_resolution)_clock|clock_gettime|jthread|async|"
      "sleep_for|sleep_until|getenv)$");
  static const std::regex thread(R"(std::thread( \w|\(|\{))");
  const std::string part = folder_of(file);
  Complaints complaints;
  if (!arrows().contains(part)) return {};
  for (const Line& line : lines_of(file.text)) {
    for (const std::string& literal : literals_of(line))
      if ((contains(models, literal) && !is_redis_command(part, literal)) ||
          std::regex_search(literal, mechanism))
        complaints.push_back(at(file, line.number) + "\"" + literal +
                             "\" names a model");
    if (is_pure(part) && std::regex_search(line.masked, thread))
      complaints.push_back(at(file, line.number) + "a thread is started");
    for (const Word& word : words_of({line}))
      if (std::regex_search(word.text, mechanism))
        complaints.push_back(at(file, line.number) + word.text +
                             " names a model");
      else if (is_pure(part) && std::regex_search(word.text, impure))
        complaints.push_back(at(file, line.number) + word.text +
                             ": handed in, not asked for");
  }
  return complaints;
}

Complaints check_no_variant_named(const File& file,
                                  const std::vector<Variant>& variants) {
  Complaints complaints;
  for (const Line& line : lines_of(file.text))
    for (const std::string& literal : literals_of(line))
      for (const Variant& variant : variants)
        if (literal.starts_with(variant.model + "-"))
          complaints.push_back(at(file, line.number) + "\"" + literal +
                               "\": programs come from the Makefile's list");
  return complaints;
}

// ---- a model's files

Complaints check_steps(const File& file, const Steps& steps) {
  Complaints complaints;
  std::size_t met = 0;
  for (const StepLine& step : step_lines(lines_of(file.text))) {
    if (step.number < 1 || step.number > steps.size() ||
        step.name != steps[step.number - 1])
      complaints.push_back(at(file, step.line) + "there is no step " +
                           std::to_string(step.number) + ". " + step.name);
    else if (step.number > met + 1)
      complaints.push_back(at(file, step.line) + step.name + " comes before " +
                           std::string(steps[met]));
    met = std::max(met, std::min(step.number, steps.size()));
  }
  for (std::size_t i = met; i < steps.size(); ++i)
    complaints.push_back(file.path + ": no step " + std::to_string(i + 1) +
                         ". " + std::string(steps[i]));
  return complaints;
}

Complaints check_head(const File& file, std::string_view side) {
  const auto lines = lines_of(file.text);
  if (lines.empty() || !lines[0].text.starts_with("// # The ") ||
      !lines[0].text.ends_with(side))
    return {at(file, 1) + "begins with \"// # The ... " + std::string(side) +
            "\""};
  int told = 0;
  for (std::size_t i = 1; i < lines.size() && lines[i].text.starts_with("//");
       ++i)
    told += lines[i].text != "//";
  if (told < 1 || told > 6)
    return {at(file, 1) + "the head has one to six lines, not " +
            std::to_string(told)};
  return {};
}

Complaints check_budget(const File& file, int code_lines_max) {
  const int count = count_code(lines_of(file.text));
  if (count <= code_lines_max) return {};
  return {file.path + ": " + std::to_string(count) + " code lines, at most " +
          std::to_string(code_lines_max) + " are allowed"};
}

int server_budget(std::string_view kind) {
  if (kind == "completion") return 240;
  if (kind == "thread") return 200;
  if (kind == "readiness") return 195;
  if (kind == "level") return 180;
  return 0;
}

Complaints check_ownership(const File& file) {
  Complaints complaints;
  for (const Word& word : words_of(lines_of(file.text)))
    if (word.text == "new" || word.text == "shared_ptr" ||
        word.text == "make_shared" || word.text == "malloc")
      complaints.push_back(at(file, word.line) + word.text +
                           ": one table owns the conversations");
  return complaints;
}

Complaints check_same_steps(const File& one, const File& other) {
  const auto a = shared_steps(one), b = shared_steps(other);
  if (!a) return {one.path + ": steps 5 to 8 are not found"};
  if (!b) return {other.path + ": steps 5 to 8 are not found"};
  const auto [x, y] = std::ranges::mismatch(*a, *b);
  if (x == a->end() && y == b->end()) return {};
  return {one.path + " and " + other.path + " differ in steps 5 to 7: \"" +
          (x == a->end() ? "" : *x) + "\" and \"" + (y == b->end() ? "" : *y) +
          "\""};
}

// ---- lists

/// What is not the idea of a model has headers of its own, where it needs any:
/// of a variant, too, of which the others know nothing (calls_libaio.hpp).
bool is_beside(const std::string& header) {
  static const Names beside = {"calls", "probe", "buffers", "acceptor", "told"};
  return contains(beside, header.substr(0, header.find_first_of("._")));
}

Complaints check_folder(const std::string& model, const Names& files,
                        const std::vector<Variant>& servers,
                        const std::vector<Variant>& clients) {
  Names wanted = {"test.cpp", "README.md"}, optional;
  std::map<std::string, int> headers = {{"", 0}};  // a variant's: more_edge.hpp
  for (const Variant& v : servers)
    if (v.model == model) {
      wanted.push_back(source_of(servers, v, "server"));
      optional.push_back("test_" + v.name + ".cpp");
      headers["_" + v.name + ".hpp"] = 0;
    }
  for (const Variant& v : clients)
    if (v.model == model) wanted.push_back(source_of(clients, v, "client"));
  Complaints complaints;
  for (const std::string& name : wanted)
    if (!contains(files, name))
      complaints.push_back(model + "/" + name + " is missing");
  for (const std::string& name : files) {
    const auto kind = name.substr(std::min(name.find('_'), name.size()));
    if (name.ends_with(".hpp") && headers.contains(kind))
      headers[kind] += !is_beside(name);
    else if (!contains(wanted, name) && !contains(optional, name))
      complaints.push_back(model + "/" + name + " is on no list");
  }
  for (const auto& [variant, count] : headers)
    if (count > 1)
      complaints.push_back(model +
                           ": more than one header beside those of the "
                           "calls, the probe, the buffers, and who accepts "
                           "and tells");
  return complaints;
}

Complaints check_lists(const Names& folders,
                       const std::vector<Variant>& servers,
                       const std::vector<Variant>& clients) {
  static const Names house = {"bench", "build", "docs", "mk", "tests"};
  Complaints complaints;
  const Names with_server = models_of(servers),
              with_client = models_of(clients);
  for (const std::string& folder : folders)
    if (!folder.starts_with('.') && !contains(house, folder) &&
        !arrows().contains(folder) && !contains(with_server, folder))
      complaints.push_back(folder + "/ is no model of the Makefile's");
  for (const std::string& model : with_server) {
    if (!contains(folders, model))
      complaints.push_back("model " + model + " has no folder");
    if (!contains(with_client, model))
      complaints.push_back("model " + model + " has no client");
  }
  for (const std::string& model : with_client)
    if (!contains(with_server, model))
      complaints.push_back("model " + model + " has no server");
  for (const Variant& variant : servers)
    if (server_budget(variant.kind) == 0)
      complaints.push_back(variant.model + ":" + variant.name +
                           " is of no known kind: " + variant.kind);
  return complaints;
}

Complaints check_table(const File& readme, const std::vector<Variant>& servers,
                       const std::vector<Variant>& clients) {
  const auto found = table_of(readme.text);
  if (!found) return {readme.path + ": no table of models"};
  Table wanted;
  for (const Variant& v : servers) wanted[v.model][0].insert(v.name);
  for (const Variant& v : clients) wanted[v.model][1].insert(v.name);
  Complaints complaints;
  for (const auto& [model, variants] : wanted)
    for (std::size_t side = 0; side < 2; ++side) {
      const auto row = found->find(model);
      const auto told =
          row == found->end() ? Table::mapped_type{} : row->second;
      if (told[side] != variants[side])
        complaints.push_back(readme.path + ": " + model + " has" +
                             joined(variants[side]) + ", the table says" +
                             joined(told[side]));
    }
  for (const auto& [model, variants] : *found)
    if (!wanted.contains(model))
      complaints.push_back(readme.path + ": there is no model " + model);
  return complaints;
}

Complaints check_length(const File& file, int lines_max) {
  const auto lines = std::ranges::count(file.text, '\n');
  if (lines <= lines_max) return {};
  return {file.path + ": " + std::to_string(lines) + " lines, at most " +
          std::to_string(lines_max) + " are allowed"};
}

Complaints check_model_readme(const File& readme) {
  Complaints complaints = check_length(readme, 160);
  for (const std::string_view step : server_steps)
    if (readme.text.find(step) == readme.text.npos)
      complaints.push_back(readme.path + ": does not tell step " +
                           std::string(step));
  return complaints;
}

}  // namespace style
