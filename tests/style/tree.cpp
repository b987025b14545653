#include "tests/style/tree.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace style {
namespace {

namespace fs = std::filesystem;

fs::path root() {
  const char* path = std::getenv("STYLE_ROOT");
  return path ? fs::path(path) : fs::current_path();
}

bool is_source(const fs::path& path) {
  return path.extension() == ".cpp" || path.extension() == ".hpp";
}

Names names_in(const std::string& folder, bool folders) {
  Names names;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(root() / folder))
    if (entry.is_directory() == folders)
      names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

std::vector<File> read_sources() {
  std::vector<File> files;
  for (const std::string& folder : folders_in("")) {
    if (folder.starts_with('.') || folder == "build") continue;
    for (const fs::directory_entry& entry :
         fs::recursive_directory_iterator(root() / folder))
      if (is_source(entry.path()) &&
          entry.path().parent_path().filename() != "fixtures")
        files.push_back(read(fs::relative(entry.path(), root())));
  }
  std::ranges::sort(files, {}, &File::path);
  return files;
}

}  // namespace

const std::vector<File>& sources() {
  static const std::vector<File> files = read_sources();
  return files;
}

File read(const std::string& path) {
  std::ifstream file(root() / path, std::ios::binary);
  return {path, {std::istreambuf_iterator<char>(file), {}}};
}

File read_fixture(const std::string& name) {
  return read("tests/style/fixtures/" + name);
}

Names files_in(const std::string& folder) { return names_in(folder, false); }
Names folders_in(const std::string& folder) { return names_in(folder, true); }

const std::vector<Variant>& servers_listed() {
  static const auto list = variants_in(read("Makefile").text, "SERVERS");
  return list;
}

const std::vector<Variant>& clients_listed() {
  static const auto list = variants_in(read("Makefile").text, "CLIENTS");
  return list;
}

}  // namespace style
