#include "velafs/cli/render_diff.h"

#include <algorithm>
#include <map>
#include <vector>

#include "velafs/base/counted.h"
#include "velafs/base/units.h"
#include "velafs/cli/table.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

uint64_t Number(const json& object, const char* key) { return object.value(key, uint64_t{0}); }

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

// "app: public.orders"
std::string NameOfTable(const json& row) {
  const std::string database = row["database"];
  const std::string table = row["table"];
  const std::string where = database.empty() ? "(shared)" : database;
  if (table.empty()) return where + ": (system catalogs)";
  return where + ": " + row["schema"].get<std::string>() + "." + table;
}

// "41.0 MiB, 9 indexes 12.0 MiB, TOAST 1.0 MiB"
std::string PartsOf(const json& row) {
  std::string parts;
  const auto add = [&parts](const std::string& part) {
    parts += (parts.empty() ? "" : ", ") + part;
  };
  const uint64_t indexes = Number(row, "index_bytes");
  const uint64_t toast = Number(row, "toast_bytes");
  if (indexes == 0 && toast == 0) return "";
  if (const uint64_t own = Number(row, "table_bytes")) add("rows " + FormatSize(own));
  if (indexes > 0) {
    const uint64_t count = Number(row, "indexes");
    add((count == 1 ? "1 index " : std::to_string(count) + " indexes ") + FormatSize(indexes));
  }
  if (toast > 0) add("TOAST " + FormatSize(toast));
  return parts;
}

}  // namespace

std::string RenderDiffSum(const json& diff) {
  const json& files = diff.at("files");
  const std::string sides =
      diff.value("a", std::string()) + " and " + diff.value("b", std::string());
  if (files.empty()) return sides + " do not differ\n";
  return sides + " differ in " + Counted(Number(diff, "pages_changed"), "page") + " (" +
         FormatSize(Number(diff, "bytes_changed")) + ") of " + Counted(files.size(), "file") + "\n";
}

std::string RenderDiff(const json& diff, size_t most_files, const Style& style) {
  const json& files = diff.at("files");
  std::string text = RenderDiffSum(diff);
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

std::string RenderTables(const json& tables, const Style& style) {
  if (tables.empty()) return "";
  Table table({Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kLeft});
  table.AddRow({{"TABLE", &Style::Dim},
                {"DIFFERS", &Style::Dim},
                {"OF", &Style::Dim},
                {"SHARE", &Style::Dim},
                {"WHAT", &Style::Dim}});
  for (const json& row : tables) {
    const uint64_t changed = Number(row, "bytes_changed");
    if (row["table"].is_null()) {
      table.AddRow({{"(other files)"}, {FormatSize(changed)}, {"-"}, {"-"}, {""}});
      continue;
    }
    const uint64_t bytes = Number(row, "bytes");
    // What it was may have been larger.
    const uint64_t percent = bytes == 0 ? 100 : std::min<uint64_t>(100, changed * 100 / bytes);
    table.AddRow({{NameOfTable(row), &Style::Bold},
                  {FormatSize(changed)},
                  {FormatSize(bytes)},
                  {std::to_string(percent) + "%"},
                  {PartsOf(row), &Style::Dim}});
  }
  return table.Render(style);
}

}  // namespace velafs::cli
