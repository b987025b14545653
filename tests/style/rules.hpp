#pragma once
// The half of the style that can be checked, one function for each rule: a text
// goes in, complaints come out, none if all is well.

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace style {

struct File {
  std::string path;  // from the root of the tree: "epoll/server.cpp"
  std::string text;
};

using Complaints = std::vector<std::string>;
using Names = std::vector<std::string>;

/// One line of the Makefile's lists; a client has no kind.
struct Variant {
  std::string model, name, kind;
  bool operator==(const Variant&) const = default;
};

/// The words of `list := ...` in a Makefile.
std::vector<Variant> variants_in(std::string_view makefile,
                                 std::string_view list);
/// Each model once, in the order of the list.
Names models_of(const std::vector<Variant>& variants);
/// "server.cpp" for a model's first variant, "server_edge.cpp" for another.
std::string source_of(const std::vector<Variant>& variants,
                      const Variant& variant, std::string_view side);

// ---- any source

/// At most 80 columns (code points), no tab, no blank at an end, one newline at
/// the end of the file.
Complaints check_layout(const File& file);
Complaints check_functions(const File& file, int code_lines_max = 30);
/// Words that say nothing, or that something is unfinished.
Complaints check_words(const File& file);
/// Names that say nothing.
Complaints check_names(const File& file);
/// Code that is commented out.
Complaints check_dead_code(const File& file);
/// `#pragma once` on the first line of a header.
Complaints check_guard(const File& file);

// ---- the arrows between the parts

/// Which parts a file may include, by where it lies; the pure parts and
/// standard headers; models; kernel headers in shared parts.
Complaints check_includes(const File& file, const Names& models);
/// Shared parts name no model and no call of one; the pure parts ask no clock
/// and start no thread.
Complaints check_purity(const File& file, const Names& models);
/// The black-box tests know variants from the Makefile alone.
Complaints check_no_variant_named(const File& file,
                                  const std::vector<Variant>& variants);

// ---- a model's files

using Steps = std::array<std::string_view, 8>;
inline constexpr Steps server_steps = {"LISTEN",  "ARM",    "WAIT", "ACCEPT",
                                       "RECEIVE", "ANSWER", "SEND", "CLOSE"};
inline constexpr Steps client_steps = {"CONNECT",   "ARM",     "WAIT",
                                       "CONNECTED", "RECEIVE", "HAND OVER",
                                       "SEND",      "CLOSE"};

/// All eight steps, under their numbers and names, first met in order.
Complaints check_steps(const File& file, const Steps& steps);
/// `// # The epoll server`, then at most six lines.
Complaints check_head(const File& file, std::string_view side);
Complaints check_budget(const File& file, int code_lines_max);
/// Code lines that a server of this kind may have; 0 for an unknown kind.
int server_budget(std::string_view kind);
inline constexpr int client_budget = 200, header_budget = 100;
/// No `new`, no shared_ptr: one table owns the conversations.
Complaints check_ownership(const File& file);
/// Two level-triggered servers have the code lines of steps 5 to 7 in common.
Complaints check_same_steps(const File& one, const File& other);

// ---- lists

/// What lies in a model's folder: sources of its variants, calls.hpp, at most
/// one header more, test.cpp, README.md.
Complaints check_folder(const std::string& model, const Names& files,
                        const std::vector<Variant>& servers,
                        const std::vector<Variant>& clients);
/// Every folder that is no part of the house is a model of the Makefile's, and
/// the other way round; each has a server and a client.
Complaints check_lists(const Names& folders,
                       const std::vector<Variant>& servers,
                       const std::vector<Variant>& clients);
/// The table of README.md (its header begins with `| model | servers |
/// clients`) names the variants of the Makefile, all of them and no other.
Complaints check_table(const File& readme, const std::vector<Variant>& servers,
                       const std::vector<Variant>& clients);
/// Of text: lines of any kind.
Complaints check_length(const File& file, int lines_max);
/// At most 140 lines; all eight steps.
Complaints check_model_readme(const File& readme);

}  // namespace style
