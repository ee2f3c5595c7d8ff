// The verb that gives a state back as plain files.
#include "velafs/layer/branch.h"
#include "velafs/store/branch_tablespaces.h"
#include "velafs/store/rules.h"
#include "velafs/store/store.h"
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

}  // namespace

Result<ExportResult> Store::Export(const Caller& caller, const std::string& source,
                                   const WriteFn& sink, const ExportProgressFn& progress,
                                   SpecialFiles special) {
  VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(source));
  const std::string context = "cannot export " + Quoted(source);
  const Result<HeldState> held = Hold(caller, ref);
  if (!held.ok()) return held.status().WithContext(context);
  Result<ExportResult> result = RunExport(*held, sink, progress, special);
  Status released = Release(*held);
  if (!result.ok()) return std::move(result).status().WithContext(context);
  VELAFS_TRY(std::move(released).WithContext(context));
  return result;
}

Result<Store::HeldState> Store::Hold(const Caller& caller, const SourceRef& source) {
  SyncAhead(caller, source);
  ReaderLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const Origin origin, FindOrigin(source));
  VELAFS_TRY(CheckMayTake(caller, origin));
  VELAFS_ASSIGN(const LayerId state, FreezeOrigin(origin));
  HeldState held{{}, origin.root(), source.ToString()};
  VELAFS_TRY(WriteDurably([&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const catalog::LayerRow below, writer.Layer(state));
    VELAFS_ASSIGN(held.layer, writer.AddLayer(state, catalog::LayerState::kImporting));
    return writer.SetLayerLogicalBytes(held.layer, below.logical_bytes);
  }));
  return held;
}

Status Store::Release(const HeldState& state) {
  WriterLock lock(verbs_mutex_);
  return volume_
      ->RemoveLayers(
          [&](catalog::Writer& writer) { return writer.RemoveUnusedLayers(state.layer); })
      .status();
}

Result<ExportResult> Store::RunExport(const HeldState& state, const WriteFn& sink,
                                      const ExportProgressFn& progress, SpecialFiles special) {
  VELAFS_ASSIGN(const auto branch, volume_->OpenState(state.layer, state.root, state.name));
  VELAFS_TRY(CheckNothingLeadsOut(*branch, state.name.substr(0, state.name.find('@'))));
  VELAFS_ASSIGN(const uint64_t bytes_total, branch->LogicalBytes());
  const auto on_bytes = [&](uint64_t bytes_done) {
    return progress == nullptr || progress({bytes_done, bytes_total});
  };
  VELAFS_ASSIGN(const TarCounts counts, WriteTar(*branch, special, sink, on_bytes));
  return ExportResult{state.name, counts.files, counts.bytes, counts.special_left_out,
                      counts.sockets_left_out};
}

}  // namespace velafs::store
