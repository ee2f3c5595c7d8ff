#include "velafs/cli/render_diff.h"

#include <algorithm>
#include <map>
#include <vector>

#include "velafs/base/units.h"
#include "velafs/cli/table.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

uint64_t Number(const json& object, const char* key) { return object.value(key, uint64_t{0}); }

std::string Counted(uint64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

struct Directory {
  std::string name;
  uint64_t files = 0;
  uint64_t pages = 0;
  uint64_t bytes = 0;
  std::vector<const json*> shown;
};

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string NameOf(const json& file) {
  const std::string path = file["path"];
  return path.substr(path.rfind('/') + 1);
}

std::string ChangeOf(const json& file) {
  std::string change = file["change"];
  if (change == "renamed") change += " from " + file.value("from", std::string());
  if (change == "attributes") change = "mode or owner";
  return change;
}

// Directories and, in each, the files to show, both with the largest change first.
std::vector<Directory> ByDirectory(const json& files, size_t most_files) {
  std::vector<const json*> largest;
  for (const json& file : files) largest.push_back(&file);
  std::stable_sort(largest.begin(), largest.end(), [](const json* a, const json* b) {
    return Number(*a, "bytes_changed") > Number(*b, "bytes_changed");
  });
  std::map<std::string, Directory> by_name;
  for (size_t i = 0; i < largest.size(); ++i) {
    const json& file = *largest[i];
    const std::string name = DirectoryOf(file["path"]);
    Directory& directory = by_name[name];
    directory.name = name;
    ++directory.files;
    directory.pages += Number(file, "pages_changed");
    directory.bytes += Number(file, "bytes_changed");
    if (i < most_files) directory.shown.push_back(&file);
  }
  std::vector<Directory> directories;
  for (auto& [name, directory] : by_name) directories.push_back(std::move(directory));
  std::stable_sort(directories.begin(), directories.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return directories;
}

}  // namespace

std::string RenderDiff(const json& diff, size_t most_files, const Style& style) {
  const json& files = diff.at("files");
  const std::string sides =
      diff.value("a", std::string()) + " and " + diff.value("b", std::string());
  if (files.empty()) return sides + " do not differ\n";
  std::string text = sides + " differ in " + Counted(Number(diff, "pages_changed"), "page") + " (" +
                     FormatSize(Number(diff, "bytes_changed")) + ") of " +
                     Counted(files.size(), "file") + "\n";
  Table table({Align::kLeft, Align::kRight, Align::kRight, Align::kLeft});
  for (const Directory& directory : ByDirectory(files, most_files)) {
    table.AddRow({{directory.name, &Style::Bold},
                  {Counted(directory.pages, "page")},
                  {FormatSize(directory.bytes)},
                  {Counted(directory.files, "file"), &Style::Dim}});
    for (const json* file : directory.shown) {
      table.AddRow({{"  " + NameOf(*file)},
                    {Counted(Number(*file, "pages_changed"), "page")},
                    {FormatSize(Number(*file, "bytes_changed"))},
                    {ChangeOf(*file), &Style::Dim}});
    }
  }
  text += table.Render(style);
  if (files.size() > most_files) {
    text +=
        style.Dim(Counted(files.size() - most_files, "more file") + " not shown: use -v") + "\n";
  }
  return text;
}

}  // namespace velafs::cli
