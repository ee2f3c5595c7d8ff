// The verbs on the trash, and those that give space back. `delete` is in verbs_delete.cc.
#include <chrono>
#include <optional>
#include <string>

#include "velafs/api/call.h"
#include "velafs/api/documents.h"
#include "velafs/api/progress_gate.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::api {

using nlohmann::json;

Answer Undelete(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::optional<std::string> new_name = call.arguments.Text("as");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::BranchInfo branch,
                call.store.trash().Undelete(call.caller, name, new_name));
  return BranchToJson(branch);
}

Answer TrashList(Call& call) {
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const std::vector<store::BranchInfo> branches, call.store.trash().List());
  return json{{"branches", BranchesToJson(branches)}};
}

Answer TrashPurge(Call& call) {
  const auto older_than = call.arguments.Duration("older_than");
  const bool dry_run = call.arguments.Flag("dry_run");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::Purged purged,
                call.store.trash().Purge(call.caller, older_than, dry_run));
  return json{{"branches", BranchesToJson(purged.branches)},
              {"freed_bytes", purged.freed_bytes},
              {"dry_run", dry_run}};
}

Answer Gc(Call& call) {
  const bool dry_run = call.arguments.Flag("dry_run");
  VELAFS_TRY(call.arguments.Finish());
  ProgressGate gate(call.progress);
  const auto progress = [&gate](const store::GcProgress& done) {
    return gate.Pass([&done] {
      return json{{"bytes_done", done.bytes_done}, {"bytes_total", done.bytes_total}};
    });
  };
  VELAFS_ASSIGN(const store::GcResult result,
                call.store.upkeep().CollectGarbage(call.caller, dry_run, progress));
  return json{{"packs_removed", result.packs_removed},
              {"packs_rewritten", result.packs_rewritten},
              {"layers_merged", result.layers_merged},
              {"chunks_removed", result.chunks_removed},
              {"freed_bytes", result.bytes_freed},
              {"damaged", result.damaged},
              {"dry_run", dry_run}};
}

Answer Expire(Call& call) {
  const bool dry_run = call.arguments.Flag("dry_run");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::Expired expired, call.store.upkeep().Expire(call.caller, dry_run));
  json kept = json::array();
  for (const store::Expired::Kept& one : expired.kept) {
    kept.push_back({{"name", one.name}, {"why", one.why}});
  }
  return json{{"branches", BranchesToJson(expired.branches)},
              {"bookmarks", expired.bookmarks},
              {"saved", expired.saved},
              {"stopped", expired.stopped},
              {"kept", std::move(kept)},
              {"dry_run", dry_run}};
}

Answer Seal(Call& call) {
  const auto older_than = call.arguments.Duration("older_than");
  VELAFS_TRY(call.arguments.Finish());
  Asking asking(call.progress);
  VELAFS_ASSIGN(const store::SealResult result,
                call.store.upkeep().Seal(call.caller, older_than.value_or(std::chrono::seconds(0)),
                                         [&asking] { return asking.GoOn(); }));
  return json{{"layers_sealed", result.layers},
              {"chunks_new", result.chunks_new},
              {"chunks_shared", result.chunks_shared},
              {"stored_bytes", result.bytes_stored},
              {"freed_bytes", result.bytes_freed}};
}

}  // namespace velafs::api
