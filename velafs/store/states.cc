#include "velafs/store/states.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>

#include "velafs/layer/branch.h"
#include "velafs/layer/server_files.h"
#include "velafs/store/govern/access.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/rules.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

// Head layer `head`, which is new and empty, shows what `state` does but for the files of a server
// that ran on it. A few bytes of theirs stay in what it is said to hold.
Status RemoveServerFiles(catalog::Writer& writer, LayerId state, InodeNumber root, LayerId head) {
  for (const std::string_view file : layer::kServerFiles) {
    const std::string name(file);
    VELAFS_ASSIGN(const InodeNumber ino, writer.NameThrough(state, root, name));
    if (!ino) continue;
    VELAFS_ASSIGN(auto gone, writer.InodeThrough(state, ino));
    VELAFS_ASSIGN(auto top, writer.InodeThrough(state, root));
    if (!gone || !top)
      return Corrupt("\"" + name + "\" leads to an inode that is not in the catalog");
    gone->nlink -= std::min(gone->nlink, 1u);
    gone->born_here = top->born_here = false;
    gone->inherited_bytes = top->inherited_bytes = std::nullopt;
    top->mtime = top->ctime = NowNs();
    VELAFS_TRY(writer.PutInode(head, *gone));
    VELAFS_TRY(writer.PutInode(head, *top));
    VELAFS_TRY(writer.PutName(head, {root, name, InodeNumber()}));
  }
  return {};
}

}  // namespace

Status CheckMayTake(StoreContext& context, const Caller& caller, const Origin& origin) {
  return CheckMayTake(*context.policies, caller, origin.branch,
                      origin.bookmark ? &*origin.bookmark : nullptr);
}

Status SyncAhead(StoreContext& context, const Caller& caller, const SourceRef& source) {
  const Result<Origin> origin = FindOrigin(context, source);
  if (!origin.ok() || origin->bookmark || !CheckMayTake(context, caller, *origin).ok()) return {};
  // Of a branch that is not open the kernel has not even a name.
  if (const auto branch = context.volume->FindOpen(origin->branch.instance)) {
    VELAFS_TRY(context.mount.SendWrites(*branch));
  }
  (void)context.volume->SyncUnlessClean(origin->branch.name);
  return {};
}

void TrySyncAhead(StoreContext& context, const Caller& caller, const std::string& branch) {
  const Status synced = SyncAhead(context, caller, {.branch = branch, .bookmark = ""});
  if (!synced.ok()) spdlog::warn("branch {}: {}", Quoted(branch), synced.message());
}

Result<LayerId> FreezeOrigin(StoreContext& context, const Origin& origin) {
  if (origin.bookmark) return origin.bookmark->layer;
  const auto freezing = context.freezing.Of(origin.branch.id);
  MutexLock freeze_lock(*freezing);
  LayerId state;
  VELAFS_TRY(context.volume->Freeze(origin.branch.name, [&state](catalog::Writer&, LayerId frozen) {
    state = frozen;
    return Status();
  }));
  return state;
}

Status StandOn(catalog::Writer& writer, LayerId state, InodeNumber root, BranchRow* row) {
  VELAFS_ASSIGN(const catalog::LayerRow below, writer.Layer(state));
  VELAFS_ASSIGN(row->head, writer.AddLayer(state, catalog::LayerState::kHead));
  row->first_layer = row->head;
  VELAFS_TRY(writer.SetLayerLogicalBytes(row->head, below.logical_bytes));
  VELAFS_ASSIGN(row->instance, writer.ReserveInstance());
  row->root = root;
  return RemoveServerFiles(writer, state, root, row->head);
}

Result<LayerId> BookmarkEnded(catalog::Writer& writer, const layer::EndedHead& head,
                              BookmarkRow bookmark) {
  const bool keep_parent = head.is_empty && head.parent;
  bookmark.layer = keep_parent ? head.parent : head.id;
  if (!keep_parent) VELAFS_TRY(writer.FreezeLayer(head.id, true));
  VELAFS_TRY(writer.AddBookmark(bookmark));
  return bookmark.layer;
}

std::string NextBookmarkName(std::string_view prefix, const std::vector<BookmarkRow>& bookmarks) {
  uint64_t last = 0;
  for (const BookmarkRow& bookmark : bookmarks) {
    if (!bookmark.name.starts_with(prefix)) continue;
    const char* const end = bookmark.name.data() + bookmark.name.size();
    uint64_t number = 0;
    const auto parsed = std::from_chars(bookmark.name.data() + prefix.size(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) last = std::max(last, number);
  }
  return std::string(prefix) + std::to_string(last + 1);
}

Result<BookmarkRow> BeforeReset(StoreContext& context, const Caller& caller,
                                const BranchRow& branch, const std::string& source) {
  BookmarkRow kept;
  kept.branch = branch.id;
  kept.root = branch.root;
  kept.created_at = NowNs();
  kept.note = "before " + branch.name + " was reset to " + source;
  VELAFS_ASSIGN(kept.expires_at,
                TimeAfter(kept.created_at, context.policies->Duration("trash_keep", nullptr)));
  VELAFS_TRY(context.catalog->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, reader.Bookmarks(branch.id));
    kept.name = NextBookmarkName("before-reset-", bookmarks);
    return CheckMayAddBookmark(caller, branch, bookmarks.size());
  }));
  return kept;
}

Status ResetTo(StoreContext& context, const BranchRow& branch, const Origin& origin,
               const std::optional<BookmarkRow>& kept,
               const std::function<void(BranchRow&)>& change) {
  VELAFS_ASSIGN(const LayerId state, FreezeOrigin(context, origin));
  const auto end = kept ? layer::Volume::End::kKeep : layer::Volume::End::kDiscard;
  return context.volume
      ->EndInstance(branch.name, end,
                    [&](catalog::Writer& writer, BranchRow row,
                        const layer::EndedHead& old) -> Result<std::vector<LayerId>> {
                      if (kept) VELAFS_TRY(BookmarkEnded(writer, old, *kept).status());
                      VELAFS_TRY(StandOn(writer, state, origin.root(), &row));
                      change(row);
                      VELAFS_TRY(writer.UpdateBranch(row));
                      return writer.RemoveUnusedLayers(old.id);
                    })
      .status();
}

}  // namespace velafs::store
