#pragma once
// How command lines are parsed: the library that does it, and the kinds of
// options that our programs have. Included by the compile units that define a
// command line, and by nothing else: it costs seconds.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/model.hpp"
#include "program/options.hpp"
#include "protocol/words.hpp"

namespace program::command_line {

using std::chrono::milliseconds;

inline constexpr std::uint64_t kib = 1024, mib = 1024 * kib, gib = 1024 * mib;
inline constexpr std::uint64_t day_ms = 24 * 60 * 60 * 1000;
inline constexpr const char* hint = "Run with --help to see all options.\n";

/// Bounds of an option, and whether 64k may be written for 65536.
struct Range {
  std::uint64_t least, most;
  bool size = false;
};

/// "k", "kb", "m", "mb", "g", "gb", in any case; 0: none of these. (The
/// library's AsSizeValue would do, but for what it says of a wrong one: neither
/// the option's name nor what is allowed.)
inline std::uint64_t factor_of(std::string_view suffix) {
  using protocol::same_word;
  if (suffix.empty()) return 1;
  if (same_word(suffix, "k") || same_word(suffix, "kb")) return kib;
  if (same_word(suffix, "m") || same_word(suffix, "mb")) return mib;
  if (same_word(suffix, "g") || same_word(suffix, "gb")) return gib;
  return 0;
}

inline std::optional<std::uint64_t> parse_number(const std::string& text,
                                                 const Range& range) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::uint64_t factor = factor_of({rest, end});
  if (error != std::errc() || !factor || (factor > 1 && !range.size))
    return std::nullopt;
  if (number > std::numeric_limits<std::uint64_t>::max() / factor)
    return std::nullopt;
  number *= factor;
  if (number < range.least || number > range.most) return std::nullopt;
  return number;
}

inline std::string written(std::uint64_t number, const Range& range) {
  if (range.size && number && number % mib == 0)
    return std::to_string(number / mib) + "m";
  if (range.size && number && number % kib == 0)
    return std::to_string(number / kib) + "k";
  return std::to_string(number);
}

inline std::string allowed(const Range& range) {
  return (range.size ? "a size from " : "a number from ") +
         written(range.least, range) + " to " + written(range.most, range) +
         (range.size ? " (k, m, g: 1024 bytes, ...)" : "");
}

[[noreturn]] inline void refuse(const std::string& name,
                                const std::string& text,
                                const std::string& what_is_allowed) {
  throw CLI::ValidationError(
      name, "'" + text + "' is not allowed, but " + what_is_allowed);
}

/// One word, which is handed to `take`.
inline CLI::Option* word(CLI::App& app, const std::string& name,
                         std::function<void(const std::string&)> take,
                         const std::string& help) {
  const CLI::callback_t call =
      [take = std::move(take)](const std::vector<std::string>& words) {
        take(words.front());
        return true;
      };
  return app.add_option(name, call, help);
}

/// A number; `value` keeps its default unless the option is given.
template <class T>
CLI::Option* number(CLI::App& app, const std::string& name, T& value,
                    Range range, const std::string& help) {
  const auto take = [&value, name, range](const std::string& text) {
    const auto parsed = parse_number(text, range);
    if (!parsed) refuse(name, text, allowed(range));
    value = static_cast<T>(*parsed);
  };
  return word(app, name, take, help)
      ->type_name(range.size ? "BYTES" : "N")
      ->default_str(written(static_cast<std::uint64_t>(value), range));
}

inline void duration(CLI::App& app, const std::string& name,
                     milliseconds& value, const std::string& help) {
  const Range range{1, day_ms};
  const auto take = [&value, name, range](const std::string& text) {
    const auto parsed = parse_number(text, range);
    if (!parsed) refuse(name, text, allowed(range) + ", in milliseconds");
    value = milliseconds(*parsed);
  };
  word(app, name, take, help)
      ->type_name("MS")
      ->default_str(std::to_string(value.count()));
}

/// One of some words, each of which has a value; `value` keeps its default
/// unless the option is given.
template <class T>
using Choices = std::vector<std::pair<std::string, T>>;

template <class T>
void choice(CLI::App& app, const std::string& name, T& value,
            const Choices<T>& choices, const std::string& help) {
  std::string names, chosen;
  for (const auto& [known_word, meaning] : choices) {
    names += (names.empty() ? "" : "|") + known_word;
    if (meaning == value) chosen = known_word;
  }
  const auto take = [&value, name, names, choices](const std::string& text) {
    for (const auto& [known_word, meaning] : choices)
      if (known_word == text) return void(value = meaning);
    refuse(name, text, names);
  };
  word(app, name, take, help)->type_name(names)->default_str(chosen);
}

inline void trace_option(CLI::App& app, std::string& file) {
  app.add_option("--trace", file,
                 "write the last system calls of each thread, in the "
                 "trace-event format")
      ->type_name("FILE");
}

/// A row that both of a program's models have is one option.
inline void rows(CLI::App& app, net::Options& options,
                 const net::Model& model) {
  for (const net::Row& row : model.rows) {
    const auto [own, is_new] = options.own.try_emplace(row.name, row.value);
    if (!is_new) continue;
    const std::string name = "--" + std::string(row.name);
    Choices<std::uint64_t> choices;
    for (const char* const known_word : row.words)
      choices.emplace_back(known_word, choices.size());
    if (choices.empty())
      number(app, name, own->second, {row.least, row.most}, row.help);
    else
      choice(app, name, own->second, choices, row.help);
  }
}

inline std::string title(const net::Model& model, const char* kind) {
  return std::string("The ") + model.name + " " + kind + ", variant " +
         model.variant + ".";
}

/// What --help prints: what an option is for stands beside its name, within 80
/// columns. (Where it wraps, the library indents.)
class Formatter : public CLI::Formatter {
 public:
  Formatter() { column_width(names_width); }

  std::string make_option_desc(const CLI::Option* option) const override {
    constexpr std::size_t width = 80 - names_width;
    std::string text = CLI::Formatter::make_option_desc(option);
    for (std::size_t line = 0; text.size() - line > width;) {
      const std::size_t space = text.rfind(' ', line + width);
      if (space == text.npos || space < line) break;  // one long word
      text[space] = '\n';
      line = space + 1;
    }
    return text;
  }

 private:
  static constexpr std::size_t names_width = 34;
};

/// Runs the parser and then what only the whole can be checked for.
template <class T, class Check>
std::expected<T, Ending> parse(CLI::App& app, Arguments arguments, T& options,
                               Check check) {
  app.set_help_flag("--help", "print this and end");
  app.formatter(std::make_shared<Formatter>());
  std::ranges::reverse(arguments);  // as the library wants them
  try {
    app.parse(std::move(arguments));
    check();
    return std::move(options);
  } catch (const CLI::CallForHelp&) {
    return std::unexpected(Ending{0, app.help()});
  } catch (const CLI::ArgumentMismatch& error) {
    // Its own words are of the kind "--port: 1 required N missing".
    const std::string text = error.what();
    return std::unexpected(Ending{
        2, text.substr(0, text.find(':')) + ": wants one value\n" + hint});
  } catch (const CLI::Error& error) {
    return std::unexpected(Ending{2, std::string(error.what()) + '\n' + hint});
  }
}

}  // namespace program::command_line
