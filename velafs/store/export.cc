// The verb that gives a state back as plain files.
#include "velafs/layer/branch.h"
#include "velafs/layer/volume.h"
#include "velafs/store/branch_tablespaces.h"
#include "velafs/store/context.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"
#include "velafs/store/state_verbs.h"
#include "velafs/store/states.h"
#include "velafs/store/tar_writer.h"

namespace velafs::store {
namespace {

Status CheckNothingLeadsOut(layer::Branch& branch, const std::string& name) {
  VELAFS_ASSIGN(const std::vector<Tablespace> tablespaces, ListTablespaces(branch));
  for (const Tablespace& tablespace : tablespaces) {
    if (tablespace.form != TablespaceForm::kLeadsOut) continue;
    return Refused("tablespace " + tablespace.oid + " leads out of the branch, to \"" +
                       tablespace.target + "\": its files would not be in the export",
                   "`velafs tablespaces " + name + " --bring-in` copies them into the branch");
  }
  return {};
}

// A layer that keeps a state for as long as it is needed; it goes by itself when the process
// dies.
struct PinnedState {
  LayerId layer;
  InodeNumber root;
  std::string name;
};

Result<PinnedState> PinState(StoreContext& context, const Caller& caller, const SourceRef& source) {
  VELAFS_TRY(SyncAhead(context, caller, source));
  ReaderLock lock(context.verbs_mutex);
  VELAFS_ASSIGN(const Origin origin, FindOrigin(context, source));
  VELAFS_TRY(CheckMayTake(context, caller, origin));
  VELAFS_ASSIGN(const LayerId state, FreezeOrigin(context, origin));
  PinnedState pinned{{}, origin.root(), source.ToString()};
  VELAFS_TRY(context.WriteDurably([&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const catalog::LayerRow below, writer.Layer(state));
    VELAFS_ASSIGN(pinned.layer, writer.AddLayer(state, catalog::LayerState::kImporting));
    return writer.SetLayerLogicalBytes(pinned.layer, below.logical_bytes);
  }));
  return pinned;
}

Status UnpinState(StoreContext& context, const PinnedState& state) {
  WriterLock lock(context.verbs_mutex);
  return context.volume
      ->RemoveLayers(
          [&](catalog::Writer& writer) { return writer.RemoveUnusedLayers(state.layer); })
      .status();
}

Result<ExportResult> RunExport(StoreContext& context, const PinnedState& state, const WriteFn& sink,
                               const ExportProgressFn& progress, SpecialFiles special) {
  VELAFS_ASSIGN(const auto branch, context.volume->OpenState(state.layer, state.root, state.name));
  VELAFS_TRY(CheckNothingLeadsOut(*branch, state.name.substr(0, state.name.find('@'))));
  VELAFS_ASSIGN(const uint64_t bytes_total, branch->LogicalBytes());
  const auto on_bytes = [&](uint64_t bytes_done) {
    return progress == nullptr || progress({bytes_done, bytes_total});
  };
  VELAFS_ASSIGN(const TarCounts counts, WriteTar(*branch, special, sink, on_bytes));
  return ExportResult{state.name, counts.files, counts.bytes, counts.special_left_out,
                      counts.sockets_left_out};
}

}  // namespace

Result<ExportResult> StateVerbs::Export(const Caller& caller, const std::string& source,
                                        const WriteFn& sink, const ExportProgressFn& progress,
                                        SpecialFiles special) {
  VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(source));
  const std::string cannot = "cannot export " + Quoted(source);
  const Result<PinnedState> pinned = PinState(context_, caller, ref);
  if (!pinned.ok()) return pinned.status().WithContext(cannot);
  Result<ExportResult> result = RunExport(context_, *pinned, sink, progress, special);
  Status unpinned = UnpinState(context_, *pinned);
  if (!result.ok()) return std::move(result).status().WithContext(cannot);
  VELAFS_TRY(std::move(unpinned).WithContext(cannot));
  return result;
}

}  // namespace velafs::store
