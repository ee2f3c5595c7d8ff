#include "velafs/api/documents.h"

namespace velafs::api {

using nlohmann::json;

json TimeOrNull(const std::optional<TimeNs>& time) {
  return time ? json(FormatTime(*time)) : json();
}

json BranchToJson(const store::BranchInfo& branch) {
  return {
      {"id", branch.id},
      {"instance", branch.instance},
      {"name", branch.name},
      {"path", OrNull(branch.path)},
      {"parent", OrNull(branch.parent)},
      {"parent_id", OrNull(branch.parent_id)},
      {"parent_bookmark", OrNull(branch.parent_bookmark)},
      {"owner", branch.owner},
      {"state", NameOf(store::kBranchStates, branch.state)},
      {"server_pid", OrNull(branch.server_pid)},
      {"orphan_pid", OrNull(branch.orphan_pid)},
      {"created_at", FormatTime(branch.created_at)},
      {"expires_at", TimeOrNull(branch.expires_at)},
      {"protected", branch.is_protected},
      {"protected_until", TimeOrNull(branch.protected_until)},
      {"deleted_at", TimeOrNull(branch.deleted_at)},
      {"labels", branch.labels},
      {"note", branch.note},
      {"own_bytes", branch.own_bytes},
      {"logical_bytes", branch.logical_bytes},
      {"port", OrNull(branch.port)},
      {"ephemeral", branch.is_ephemeral},
      {"quota_bytes", OrNull(branch.quota_bytes)},
      {"shown_as", OrNull(branch.shown_as)},
      {"data_owner", OrNull(branch.data_owner)},
  };
}

json BranchesToJson(const std::vector<store::BranchInfo>& branches) {
  json list = json::array();
  for (const store::BranchInfo& branch : branches) list.push_back(BranchToJson(branch));
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
