#pragma once
// The tree that is being checked, from STYLE_ROOT or the current directory.

#include <optional>
#include <string>
#include <vector>

#include "tests/style/rules.hpp"

namespace style {

/// All C++ sources but the fixtures, by path. Read once.
const std::vector<File>& sources();
/// One file of the tree; its text is empty if it is not there.
File read(const std::string& path);
File read_fixture(const std::string& name);
/// Names in one folder of the tree ("" is the root), in order.
Names files_in(const std::string& folder);
Names folders_in(const std::string& folder);
/// The Makefile's lists.
const std::vector<Variant>& servers_listed();
const std::vector<Variant>& clients_listed();

}  // namespace style
