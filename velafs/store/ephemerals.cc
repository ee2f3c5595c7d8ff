// Ephemeral branches whose daemon died.
#include <unistd.h>

#include "velafs/catalog/catalog.h"
#include "velafs/store/audit_log.h"
#include "velafs/store/context.h"
#include "velafs/store/recovery.h"
#include "velafs/store/states.h"
#include "velafs/store/users.h"

namespace velafs::store {

// What was changed on an ephemeral branch that was not closed cleanly may have reached the disk in
// any order: none of it may be seen.
Status ResetEphemerals(StoreContext& context) {
  std::vector<catalog::BranchRow> lost;
  VELAFS_TRY(context.catalog->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(std::vector<catalog::BranchRow> rows, reader.EphemeralBranches());
    for (catalog::BranchRow& row : rows) {
      VELAFS_ASSIGN(const catalog::LayerRow head, reader.Layer(row.head));
      if (!head.is_settled) lost.push_back(std::move(row));
    }
    return {};
  }));
  for (catalog::BranchRow& row : lost) {
    const LayerId old_head = row.head;
    VELAFS_TRY(context.WriteDurably([&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(const catalog::LayerRow head, writer.Layer(old_head));
      const LayerId first_layer = row.first_layer;
      VELAFS_TRY(StandOn(writer, head.parent, row.root, &row));
      if (first_layer != old_head) row.first_layer = first_layer;
      VELAFS_TRY(writer.UpdateBranch(row));
      return writer.RemoveUnusedLayers(old_head).status();
    }));
    Caller self{geteuid(), UserName(geteuid())};
    self.pid = static_cast<uint32_t>(getpid());
    catalog::AuditRow entry = NewAuditEntry(self, "reset");
    entry.subjects = row.name;
    entry.detail = R"({"why":"ephemeral, and not closed cleanly"})";
    VELAFS_TRY(context.audit_log->Append(std::move(entry)));
    context.ephemerals_reset.push_back(row.name);
  }
  return {};
}

}  // namespace velafs::store
