#include "velafs/api/documents.h"

#include <string_view>
#include <utility>

namespace velafs::api {

using nlohmann::json;

json TimeOrNull(const std::optional<TimeNs>& time) {
  return time ? json(FormatTime(*time)) : json();
}

// Field by field, by name: of a list in braces all would be copied twice, and of branches there may
// be many.
json BranchToJson(const store::BranchInfo& branch, const Fields& fields) {
  json document = json::object();
  auto& object = document.get_ref<json::object_t&>();
  const auto add = [&](std::string_view name, json value) {
    if (!fields.empty() && !fields.contains(name)) return;
    object.emplace_hint(object.end(), name, std::move(value));
  };
  add("created_at", FormatTime(branch.created_at));
  add("data_owner", OrNull(branch.data_owner));
  add("deleted_at", TimeOrNull(branch.deleted_at));
  add("ephemeral", branch.is_ephemeral);
  add("expires_at", TimeOrNull(branch.expires_at));
  add("id", branch.id);
  add("instance", branch.instance);
  add("labels", branch.labels);
  add("logical_bytes", branch.logical_bytes);
  add("name", branch.name);
  add("note", branch.note);
  add("orphan_pid", OrNull(branch.orphan_pid));
  add("own_bytes", branch.own_bytes);
  add("owner", branch.owner);
  add("parent", OrNull(branch.parent));
  add("parent_bookmark", OrNull(branch.parent_bookmark));
  add("parent_id", OrNull(branch.parent_id));
  add("path", OrNull(branch.path));
  add("port", OrNull(branch.port));
  add("protected", branch.is_protected);
  add("protected_until", TimeOrNull(branch.protected_until));
  add("quota_bytes", OrNull(branch.quota_bytes));
  add("server_pid", OrNull(branch.server_pid));
  add("shown_as", OrNull(branch.shown_as));
  add("state", NameOf(store::kBranchStates, branch.state));
  return document;
}

json BranchesToJson(const std::vector<store::BranchInfo>& branches, const Fields& fields) {
  json list = json::array();
  for (const store::BranchInfo& branch : branches) list.push_back(BranchToJson(branch, fields));
  return list;
}

json BookmarkToJson(const store::BookmarkInfo& bookmark) {
  return {{"name", bookmark.name},
          {"branch", bookmark.branch},
          {"created_at", FormatTime(bookmark.created_at)},
          {"expires_at", TimeOrNull(bookmark.expires_at)},
          {"note", bookmark.note},
          {"scheduled", bookmark.is_scheduled},
          {"own_bytes", bookmark.own_bytes}};
}

}  // namespace velafs::api
