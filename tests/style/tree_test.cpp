// The rules, held against the tree itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/style/rules.hpp"
#include "tests/style/tree.hpp"

namespace style {
namespace {

void expect_none(const Complaints& complaints) {
  std::string all;
  for (const std::string& complaint : complaints) all += complaint + "\n";
  EXPECT_EQ("", all);
}

void append(Complaints& all, const Complaints& more) {
  all.insert(all.end(), more.begin(), more.end());
}

// The rules' own tests have to say what is forbidden.
bool is_about_rules(const File& file) {
  return file.path.starts_with("tests/style/");
}

template <class Check>
void hold_all_against(Check check) {
  ASSERT_GT(sources().size(), 20u) << "STYLE_ROOT is not the tree";
  Complaints all;
  for (const File& file : sources()) append(all, check(file));
  expect_none(all);
}

template <class Check>
void hold_against(const std::vector<Variant>& listed, const char* side,
                  Check check) {
  ASSERT_FALSE(listed.empty());
  Complaints all;
  for (const Variant& v : listed)
    append(all, check(read(v.model + "/" + source_of(listed, v, side)), v));
  expect_none(all);
}

template <class Check>
void hold_servers_against(Check check) {
  hold_against(servers_listed(), "server", check);
}

template <class Check>
void hold_clients_against(Check check) {
  hold_against(clients_listed(), "client", check);
}

TEST(Tree, layout) { hold_all_against(check_layout); }

TEST(Tree, functions) {
  hold_all_against([](const File& file) { return check_functions(file); });
}

TEST(Tree, words) {
  hold_all_against([](const File& file) {
    return is_about_rules(file) ? Complaints{} : check_words(file);
  });
}

TEST(Tree, words_of_the_papers) {
  for (const std::string& folder : {std::string(), std::string("docs/")})
    for (const std::string& name : files_in(folder))
      if (name.ends_with(".md")) expect_none(check_words(read(folder + name)));
}

TEST(Tree, names) { hold_all_against(check_names); }

TEST(Tree, dead_code) { hold_all_against(check_dead_code); }

TEST(Tree, guards) {
  hold_all_against([](const File& file) {
    return file.path.ends_with(".hpp") ? check_guard(file) : Complaints{};
  });
}

TEST(Tree, includes) {
  hold_all_against([](const File& file) {
    return check_includes(file, models_of(servers_listed()));
  });
}

TEST(Tree, purity) {
  hold_all_against([](const File& file) {
    return check_purity(file, models_of(servers_listed()));
  });
}

TEST(Tree, black_box_tests_name_no_variant) {
  hold_all_against([](const File& file) {
    return file.path.starts_with("tests/conformance/")
               ? check_no_variant_named(file, servers_listed())
               : Complaints{};
  });
}

TEST(Tree, formatted) {
  if (std::system("clang-format-19 --version >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "clang-format-19 is missing: make deps-dev";
  std::string command = "cd \"${STYLE_ROOT:-.}\" && clang-format-19 -n -Werror";
  for (const File& file : sources()) command += " " + file.path;
  EXPECT_EQ(0, std::system(command.c_str())) << "make format";
}

TEST(Models, steps) {
  hold_servers_against([](const File& file, const Variant&) {
    return check_steps(file, server_steps);
  });
  hold_clients_against([](const File& file, const Variant&) {
    return check_steps(file, client_steps);
  });
}

TEST(Models, heads) {
  hold_servers_against([](const File& file, const Variant&) {
    return check_head(file, "server");
  });
  hold_clients_against([](const File& file, const Variant&) {
    return check_head(file, "client");
  });
}

TEST(Models, budgets) {
  hold_servers_against([](const File& file, const Variant& variant) {
    return check_budget(file, server_budget(variant.kind));
  });
  hold_clients_against([](const File& file, const Variant&) {
    return check_budget(file, client_budget);
  });
  for (const std::string& model : models_of(servers_listed()))
    for (const std::string& name : files_in(model))
      if (name.ends_with(".hpp"))
        expect_none(check_budget(read(model + "/" + name), header_budget));
}

TEST(Models, ownership) {
  hold_servers_against(
      [](const File& file, const Variant&) { return check_ownership(file); });
  hold_clients_against(
      [](const File& file, const Variant&) { return check_ownership(file); });
}

TEST(Models, of_one_kind_share_steps_5_to_7) {
  for (const std::string kind : {"level", "thread"}) {
    std::vector<File> files;
    for (const Variant& v : servers_listed())
      if (v.kind == kind)
        files.push_back(
            read(v.model + "/" + source_of(servers_listed(), v, "server")));
    ASSERT_FALSE(files.empty());
    // With itself at least: so the steps are found in it.
    for (const File& file : files)
      expect_none(check_same_steps(files[0], file));
  }
}

TEST(Models, folders) {
  for (const std::string& model : models_of(servers_listed()))
    expect_none(check_folder(model, files_in(model), servers_listed(),
                             clients_listed()));
}

TEST(Models, lists) {
  expect_none(check_lists(folders_in(""), servers_listed(), clients_listed()));
}

// What a student wants to know of the build; the rest stands in mk/.
TEST(Makefile, is_short) { expect_none(check_length(read("Makefile"), 200)); }

TEST(Models, readmes) {
  for (const std::string& model : models_of(servers_listed()))
    expect_none(check_model_readme(read(model + "/README.md")));
}

TEST(Models, table_of_the_readme) {
  expect_none(
      check_table(read("README.md"), servers_listed(), clients_listed()));
}

}  // namespace
}  // namespace style
