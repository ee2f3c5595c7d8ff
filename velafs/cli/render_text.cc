#include "velafs/cli/render_text.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>
#include <vector>

#include "velafs/base/units.h"
#include "velafs/cli/table.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

// The string, number or boolean of that name; `missing` for null or nothing.
std::string Text(const json& object, const char* key, const std::string& missing = "-") {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return missing;
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string Size(const json& object, const char* key) {
  return FormatSize(object.value(key, uint64_t{0}));
}

// Seconds from now to an RFC 3339 time in UTC; negative when it has passed.
std::chrono::seconds Until(const std::string& time) {
  tm parts{};
  if (strptime(time.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr) return {};
  return std::chrono::seconds(timegm(&parts) - std::time(nullptr));
}

std::string Age(const json& object) {
  return FormatDuration(std::max(-Until(Text(object, "created_at")), std::chrono::seconds(0)));
}

std::string Expiry(const json& branch) {
  const std::string time = Text(branch, "expires_at", "");
  if (time.empty()) return "-";
  const std::chrono::seconds left = Until(time);
  return left.count() > 0 ? "in " + FormatDuration(left) : "expired";
}

// The bookmark it was cloned from, else the branch.
std::string Origin(const json& branch) {
  return Text(branch, "parent_bookmark", Text(branch, "parent"));
}

Table::Cell State(const json& branch) {
  const std::string state = Text(branch, "state");
  return {state, state == "running" ? &Style::Green : &Style::Dim};
}

std::vector<Table::Cell> Header(const std::vector<std::string>& titles) {
  std::vector<Table::Cell> cells;
  cells.reserve(titles.size());
  for (const std::string& title : titles) cells.push_back({title, &Style::Dim});
  return cells;
}

// Branches by the branch they were cloned from; those whose parent is no more are roots, under "".
std::map<std::string, std::vector<const json*>> ByParent(const json& branches) {
  std::map<std::string, const json*> by_name;
  for (const json& branch : branches) by_name[Text(branch, "name")] = &branch;
  std::map<std::string, std::vector<const json*>> by_parent;
  for (const json& branch : branches) {
    const std::string parent = Text(branch, "parent", "");
    by_parent[by_name.contains(parent) ? parent : ""].push_back(&branch);
  }
  return by_parent;
}

struct TreeRow {
  std::string lines;  // drawn before the name
  const json* branch;
};

// The rows below `parent`, in the order they are drawn. Without recursion: a chain of clones may be
// thousands deep.
std::vector<TreeRow> TreeRows(const json& branches) {
  const auto by_parent = ByParent(branches);
  struct Pending {
    const json* branch;
    std::string above;  // lines of the ancestors
    bool is_root;
    bool is_last;
  };
  std::vector<Pending> stack;
  const auto push = [&](const std::string& parent, const std::string& above) {
    const auto found = by_parent.find(parent);
    if (found == by_parent.end()) return;
    const auto& children = found->second;
    for (size_t i = children.size(); i-- > 0;) {
      stack.push_back({children[i], above, parent.empty(), i + 1 == children.size()});
    }
  };
  std::vector<TreeRow> rows;
  push("", "");
  while (!stack.empty()) {
    const Pending next = std::move(stack.back());
    stack.pop_back();
    const std::string branching = next.is_root ? "" : next.is_last ? "└─ " : "├─ ";
    const std::string below = next.is_root ? "" : next.is_last ? "   " : "│  ";
    rows.push_back({next.above + branching, next.branch});
    push(Text(*next.branch, "name"), next.above + below);
  }
  return rows;
}

std::string Labels(const json& branch) {
  std::string text;
  const json of_branch = branch.value("labels", json::object());
  for (const auto& [key, value] : of_branch.items()) {
    if (!text.empty()) text += ", ";
    text += key + "=" + value.get<std::string>();
  }
  return text.empty() ? "-" : text;
}

}  // namespace

std::string RenderBranchList(const json& list, const Style& style) {
  const json& branches = list.at("branches");
  if (branches.empty()) return "no branches\n";
  Table table({Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight, Align::kLeft,
               Align::kRight, Align::kRight});
  table.AddRow(Header({"NAME", "STATE", "FROM", "OWNER", "AGE", "EXPIRES", "OWN", "SIZE"}));
  for (const json& branch : branches) {
    table.AddRow({{Text(branch, "name"), &Style::Bold},
                  State(branch),
                  {Origin(branch)},
                  {Text(branch, "owner")},
                  {Age(branch)},
                  {Expiry(branch)},
                  {Size(branch, "own_bytes")},
                  {Size(branch, "logical_bytes")}});
  }
  return table.Render(style);
}

std::string RenderBranchTree(const json& list, const Style& style) {
  const json& branches = list.at("branches");
  if (branches.empty()) return "no branches\n";
  Table table({Align::kLeft, Align::kRight, Align::kRight, Align::kLeft});
  for (const TreeRow& row : TreeRows(branches)) {
    table.AddRow({{row.lines + Text(*row.branch, "name")},
                  {Size(*row.branch, "own_bytes")},
                  {Age(*row.branch)},
                  State(*row.branch)});
  }
  return table.Render(style);
}

std::string RenderBranch(const json& branch, const Style& style) {
  Table table({Align::kLeft, Align::kLeft});
  const auto add = [&table](const std::string& title, const std::string& value) {
    table.AddRow({{title, &Style::Dim}, {value}});
  };
  add("name", Text(branch, "name"));
  add("path", Text(branch, "path", "not mounted"));
  add("state", Text(branch, "state"));
  add("from", Origin(branch));
  add("owner", Text(branch, "owner"));
  add("created", Text(branch, "created_at") + " (" + Age(branch) + " ago)");
  add("expires", Text(branch, "expires_at", "never"));
  add("protected", branch.value("protected", false) ? "yes" : "no");
  add("labels", Labels(branch));
  add("note", Text(branch, "note", "").empty() ? "-" : Text(branch, "note"));
  add("port", Text(branch, "port"));
  add("own size", Size(branch, "own_bytes"));
  add("size", Size(branch, "logical_bytes"));
  return table.Render(style);
}

std::string RenderBookmarkList(const json& list, const Style& style) {
  const json& bookmarks = list.at("bookmarks");
  if (bookmarks.empty()) return "no bookmarks\n";
  Table table({Align::kLeft, Align::kRight, Align::kLeft});
  table.AddRow(Header({"NAME", "AGE", "NOTE"}));
  for (const json& bookmark : bookmarks) {
    table.AddRow(
        {{Text(bookmark, "name"), &Style::Bold}, {Age(bookmark)}, {Text(bookmark, "note")}});
  }
  return table.Render(style);
}

std::string RenderStats(const json& stats, const Style& style) {
  const auto logical = static_cast<double>(stats.value("logical_bytes", uint64_t{0}));
  const auto stored = static_cast<double>(stats.value("stored_bytes", uint64_t{0}));
  std::string ratio;
  if (stored > 0) {
    char text[48];
    std::snprintf(text, sizeof text, " (%.1f times less)", logical / stored);
    if (logical > stored) ratio = text;
  }
  Table table({Align::kLeft, Align::kLeft});
  table.AddRow({{"branches", &Style::Dim}, {Text(stats, "branches")}});
  table.AddRow({{"bookmarks", &Style::Dim}, {Text(stats, "bookmarks")}});
  table.AddRow({{"size of all branches", &Style::Dim}, {Size(stats, "logical_bytes")}});
  table.AddRow({{"stored", &Style::Dim}, {Size(stats, "stored_bytes") + ratio}});
  table.AddRow({{"chunks", &Style::Dim}, {Text(stats, "chunk_count")}});
  return table.Render(style);
}

}  // namespace velafs::cli
