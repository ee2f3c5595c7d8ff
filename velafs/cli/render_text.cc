#include "velafs/cli/render_text.h"

#include <cstdio>
#include <vector>

#include "velafs/base/counted.h"
#include "velafs/base/units.h"
#include "velafs/cli/labels.h"
#include "velafs/cli/render_cells.h"
#include "velafs/cli/table.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

// The bookmark it was cloned from, else the branch.
std::string Origin(const json& branch) {
  return Text(branch, "parent_bookmark", Text(branch, "parent"));
}

std::vector<Table::Cell> Header(const std::vector<std::string>& titles) {
  std::vector<Table::Cell> cells;
  cells.reserve(titles.size());
  for (const std::string& title : titles) cells.push_back({title, &Style::Dim});
  return cells;
}

// `"main", "pr-1" and 7 more`.
std::string Names(const json& names) {
  constexpr size_t kShown = 8;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i == 0 ? "\"" : ", \"") + names[i].get<std::string>() + "\"";
  }
  if (names.size() > kShown) text += " and " + std::to_string(names.size() - kShown) + " more";
  return text;
}

// One long name must not widen a column for all.
std::string Shortened(const std::string& text) {
  constexpr size_t kMost = 40;
  return text.size() > kMost ? text.substr(0, kMost) + "..." : text;
}

std::string MarksOf(const json& branch) {
  const bool is_protected = branch.value("protected", false);
  const bool is_ephemeral = branch.value("ephemeral", false);
  if (is_protected && is_ephemeral) return "protected, ephemeral";
  return is_protected ? "protected" : is_ephemeral ? "ephemeral" : "";
}

}  // namespace

std::string RenderBranchList(const json& list, const Style& style) {
  const json& branches = list.at("branches");
  if (branches.empty()) return "no branches\n";
  Table table({Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight, Align::kLeft,
               Align::kRight, Align::kRight, Align::kLeft});
  table.AddRow(
      Header({"NAME", "STATE", "FROM", "OWNER", "AGE", "EXPIRES", "OWN", "SIZE", "MARKS"}));
  for (const json& branch : branches) {
    table.AddRow({{Text(branch, "name"), &Style::Bold},
                  State(branch),
                  {Origin(branch)},
                  {Text(branch, "owner")},
                  {Age(branch)},
                  {Expiry(branch)},
                  {Size(branch, "own_bytes")},
                  {Size(branch, "logical_bytes")},
                  {MarksOf(branch)}});
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
  add("created", LocalTime(branch, "created_at") + " (" + Age(branch) + " ago)");
  add("expires", LocalTime(branch, "expires_at", "never"));
  const std::string until = LocalTime(branch, "protected_until", "");
  add("protected", !branch.value("protected", false) ? "no"
                   : until.empty()                   ? "yes"
                                                     : "until " + until);
  if (branch.value("ephemeral", false)) add("ephemeral", "yes: a crash loses its changes");
  add("labels", LabelsOf(branch));
  add("note", Text(branch, "note", "").empty() ? "-" : Text(branch, "note"));
  add("port", Text(branch, "port"));
  if (branch.contains("shown_as") && branch["shown_as"].is_string()) {
    add("files as", Text(branch, "shown_as") + ", of " + Text(branch, "data_owner"));
  }
  const bool has_quota = branch.contains("quota_bytes") && branch["quota_bytes"].is_number();
  add("quota", has_quota ? Size(branch, "quota_bytes") : "none");
  add("own size", Size(branch, "own_bytes"));
  add("size", Size(branch, "logical_bytes"));
  return table.Render(style);
}

std::string RenderBookmarkList(const json& list, const Style& style) {
  const json& bookmarks = list.at("bookmarks");
  if (bookmarks.empty()) return "no bookmarks\n";
  Table table(
      {Align::kLeft, Align::kLeft, Align::kRight, Align::kLeft, Align::kRight, Align::kLeft});
  table.AddRow(Header({"NAME", "CREATED", "AGE", "EXPIRES", "OWN", "NOTE"}));
  for (const json& bookmark : bookmarks) {
    table.AddRow({{Text(bookmark, "name"), &Style::Bold},
                  {LocalTime(bookmark, "created_at")},
                  {Age(bookmark)},
                  {Expiry(bookmark)},
                  {Size(bookmark, "own_bytes")},
                  {Text(bookmark, "note")}});
  }
  return table.Render(style);
}

std::string RenderTrash(const json& list, const Style& style) {
  const json& branches = list.at("branches");
  if (branches.empty()) return "the trash is empty\n";
  Table table({Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight, Align::kRight});
  table.AddRow(Header({"NAME", "FROM", "OWNER", "DELETED", "OWN"}));
  for (const json& branch : branches) {
    table.AddRow({{Text(branch, "name"), &Style::Bold},
                  {Origin(branch)},
                  {Text(branch, "owner")},
                  {Age(branch, "deleted_at") + " ago"},
                  {Size(branch, "own_bytes")}});
  }
  return table.Render(style);
}

std::string RenderScrub(const json& report, const Style& style) {
  std::string text;
  for (const json& damage : report.at("corrupt")) {
    text += style.Red("damaged:") + " " + Text(damage, "what") + "\n";
    for (const json& file : damage.at("files")) {
      text += "  in " + Text(file, "path") + " of " + Names(file.at("branches")) + "\n";
    }
  }
  for (const json& done : report.at("repaired")) {
    text += style.Green("repaired:") + " " + done.get<std::string>() + "\n";
  }
  for (const json& left : report.at("left_over")) {
    text += style.Dim("left over:") + " " + left.get<std::string>() + "\n";
  }
  const auto counted = [&report](const char* key, const std::string& noun) {
    return Counted(report.value(key, uint64_t{0}), noun);
  };
  return text + "checked " + counted("chunks_checked", "chunk") + " in " +
         counted("packs_checked", "pack") + " (" + Size(report, "bytes_checked") + "), " +
         counted("page_files_checked", "page file") + " in " + counted("layers_checked", "layer") +
         "\n";
}

std::string RenderAudit(const json& log, const Style& style) {
  const json& entries = log.at("entries");
  if (entries.empty()) return "no entries\n";
  Table table({Align::kLeft, Align::kLeft, Align::kRight, Align::kLeft, Align::kLeft, Align::kLeft,
               Align::kLeft, Align::kRight});
  table.AddRow(Header({"TIME", "USER", "PID", "VERB", "WHAT", "FROM", "RESULT", "MS"}));
  for (const json& entry : entries) {
    std::string subjects;
    for (const json& name : entry.at("subjects")) {
      subjects += (subjects.empty() ? "" : " ") + name.get<std::string>();
    }
    const bool done = Text(entry, "result") == "done";
    table.AddRow({{LocalTime(entry, "at")},
                  {Text(entry, "user")},
                  {Text(entry, "pid")},
                  {Text(entry, "verb"), &Style::Bold},
                  {subjects.empty() ? "-" : Shortened(subjects)},
                  {Shortened(Text(entry, "source"))},
                  {Text(entry, "result"), done ? &Style::Dim : &Style::Red},
                  {Text(entry, "duration_ms")}});
  }
  return table.Render(style);
}

std::string RenderPolicies(const json& policies, const Style& style) {
  Table table({Align::kLeft, Align::kLeft, Align::kLeft});
  table.AddRow(Header({"POLICY", "VALUE", "FROM"}));
  for (const json& one : policies.at("policies")) {
    table.AddRow({{Text(one, "key"), &Style::Bold}, {Text(one, "value")}, {Text(one, "from")}});
  }
  return table.Render(style);
}

std::string RenderPolicyChanges(const json& applied, const Style& style) {
  const json& changes = applied.at("changes");
  if (changes.empty()) return "nothing to change\n";
  std::string text;
  for (const json& change : changes) {
    const std::string where = Text(change, "place") +
                              (change.at("name").is_null() ? "" : " " + Text(change, "name")) +
                              ": " + Text(change, "key") + "=";
    if (!change.at("from").is_null()) text += style.Red("- " + where + Text(change, "from")) + "\n";
    if (!change.at("to").is_null()) text += style.Green("+ " + where + Text(change, "to")) + "\n";
  }
  return text;
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
  table.AddRow({{"in the trash", &Style::Dim}, {Text(stats, "trashed")}});
  table.AddRow({{"size of all branches", &Style::Dim}, {Size(stats, "logical_bytes")}});
  table.AddRow({{"stored content", &Style::Dim}, {Size(stats, "stored_bytes") + ratio}});
  table.AddRow({{"store on disk", &Style::Dim}, {Size(stats, "total_bytes")}});
  const json parts = stats.value("disk_bytes", json::object());
  for (const auto& [part, bytes] : parts.items()) {
    table.AddRow({{"  " + part, &Style::Dim}, {FormatSize(bytes.get<uint64_t>())}});
  }
  table.AddRow({{"chunks", &Style::Dim}, {Text(stats, "chunk_count")}});
  return table.Render(style);
}

}  // namespace velafs::cli
