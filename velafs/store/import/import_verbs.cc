#include "velafs/store/import/import_verbs.h"

#include <unistd.h>

#include <optional>

#include "velafs/base/control_file.h"
#include "velafs/chunk/packs.h"
#include "velafs/store/catalog_copies.h"
#include "velafs/store/context.h"
#include "velafs/store/describe.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/import/imported_layer.h"
#include "velafs/store/import/importer.h"
#include "velafs/store/import/receive_archive.h"
#include "velafs/store/import/source_reader.h"
#include "velafs/store/import/wal_end.h"
#include "velafs/store/lookup.h"

namespace velafs::store {
namespace {

// Begins the layer, and may store content in it.
using FindSourceFn = std::function<Result<Source>(ImportedLayer& layer)>;

// What tells that it is a copy of a running server, or of one that follows another; empty when
// nothing does. A server that has crashed leaves what a running one has at some moment.
Result<std::string> SignOfRunning(const Source& source) {
  for (const char* name : {"backup_label", "standby.signal", "recovery.signal", "recovery.conf"}) {
    if (source.Find(0, name) != 0) {
      return "it has a \"" + std::string(name) + "\", so it comes from a running server";
    }
  }
  VELAFS_ASSIGN(const std::string control, ReadControlFile(source, kClusterStateBytes));
  const std::optional<ClusterState> state = ParseClusterState(control);
  if (!state || state == ClusterState::kShutDown) return std::string();
  return std::string(
      "its \"global/pg_control\" does not say that it was shut down, so it comes from a running "
      "server, from a standby, or from one that has crashed");
}

std::string AboutNetwork(const std::string& sign_of_running, const std::string& name,
                         bool is_isolated) {
  const std::string change = "; `velafs policy set --source " + name + " network=";
  return sign_of_running +
         (is_isolated
              ? ": servers on it and its clones are isolated from the network" + change + "host"
              : ": servers on it and its clones reach the network, as the store's policy "
                "network=host says" +
                    change + "isolated") +
         "` changes that";
}

// Until this returns, nobody knows of the branch.
Result<catalog::CommitSequence> FillAndPublish(StoreContext& context, const Caller& caller,
                                               const std::string& name, ImportedLayer& layer,
                                               const FindSourceFn& find,
                                               const ImportProgressFn& progress,
                                               ImportResult* result) {
  VELAFS_ASSIGN(const Source source, find(layer));
  VELAFS_ASSIGN(const std::string sign_of_running, SignOfRunning(source));
  Importer importer(layer, source, progress);
  VELAFS_TRY(importer.Run());
  result->files = importer.files();
  result->chunks_new = layer.counts().chunks_new;
  result->chunks_shared = layer.counts().chunks_shared;
  result->bytes_stored = layer.counts().bytes_stored;
  result->warnings = source.warnings;
  result->config_dir = source.config_dir;
  std::optional<catalog::SettingRow> isolation;
  if (!sign_of_running.empty()) isolation = context.policies->IsolationOf(layer.root());
  const bool is_open = context.policies->Get("network", nullptr) == "host";
  if (!sign_of_running.empty() && (isolation || is_open)) {
    result->warnings.push_back(AboutNetwork(sign_of_running, name, isolation.has_value()));
  }
  return context.catalog->Write([&](catalog::Writer& writer) -> Status {
    VELAFS_TRY(layer.Publish(writer, importer.logical_bytes()));
    catalog::BranchRow row;
    row.name = name;
    row.root = layer.root();
    row.owner = caller.user;
    row.is_protected = true;  // clones can be made again, a source perhaps not
    row.protected_until = catalog::kProtectedAsSource;
    row.created_at = NowNs();
    VELAFS_ASSIGN(row.head, writer.AddLayer(layer.id(), catalog::LayerState::kHead));
    row.first_layer = row.head;
    VELAFS_TRY(writer.SetLayerLogicalBytes(row.head, importer.logical_bytes()));
    VELAFS_ASSIGN(row.instance, writer.ReserveInstance());
    if (isolation) VELAFS_TRY(writer.PutSetting(*isolation));
    return writer.AddBranch(row).status();
  });
}

Result<ImportResult> RunImport(StoreContext& context, const Caller& caller, const std::string& name,
                               const FindSourceFn& find, const ImportProgressFn& progress) {
  VELAFS_ASSIGN(const chunk::Compression compression,
                chunk::ParseCompression(context.policies->Get("compression", nullptr)));
  ImportedLayer layer(context.storage, *context.catalog, context.paths, compression);
  ImportResult result;
  const Result<catalog::CommitSequence> published =
      FillAndPublish(context, caller, name, layer, find, progress, &result);
  if (!published.ok()) {
    // What this leaves when it fails too is removed when the store is next opened.
    (void)layer.Abandon(*context.packs);
    return published.status();
  }
  VELAFS_TRY(context.catalog->MakeDurable(*published));
  return result;
}

Result<ImportResult> ImportFrom(StoreContext& context, const Caller& caller,
                                const std::string& name, const std::string& from,
                                const FindSourceFn& find, const ImportProgressFn& progress) {
  VELAFS_TRY(CheckName("branch", name));
  const std::string cannot = "cannot import \"" + from + "\" as \"" + name + "\"";
  Result<ImportResult> result = ImportResult();
  {
    const auto turn =
        context.import_turn.WaitWhile([&progress] { return progress == nullptr || progress({}); });
    if (!turn) return Failed(cannot + ": cancelled");
    {
      WriterLock lock(context.verbs_mutex);
      VELAFS_TRY(CheckNameIsFree(context, name).WithContext(cannot));
      context.importing = name;
    }
    result = RunImport(context, caller, name, find, progress);
    WriterLock lock(context.verbs_mutex);
    context.importing.clear();
  }
  if (!result.ok()) return std::move(result).status().WithContext(cannot);
  if (context.copies != nullptr) {
    context.copies->Request();
  } else {
    MakeCatalogCopyIfChanged(context.storage, context.paths);
  }
  context.mount.TellAdded(name);
  VELAFS_ASSIGN(result->branch, ShowBranch(context, name));
  return result;
}

}  // namespace

Result<ImportResult> ImportVerbs::Import(const Caller& caller, const std::string& name,
                                         const std::string& directory,
                                         const ImportProgressFn& progress,
                                         const ImportOptions& options) {
  const auto find = [&](ImportedLayer& layer) -> Result<Source> {
    VELAFS_ASSIGN(Source source, FindSourceFor(caller, directory, context_.paths.root, options));
    VELAFS_TRY(layer.Begin());
    return source;
  };
  return ImportFrom(context_, caller, name, directory, find, progress);
}

Result<ImportResult> ImportVerbs::ImportArchive(const Caller& caller, const std::string& name,
                                                const std::string& archive, const ReadFn& members,
                                                const ImportProgressFn& progress,
                                                const ImportOptions& options) {
  const auto on_bytes = [&progress](uint64_t bytes_done) {
    ImportProgress so_far;
    so_far.bytes_done = bytes_done;
    return progress == nullptr || progress(so_far);
  };
  const auto receive = [&](ImportedLayer& layer) -> Result<Source> {
    VELAFS_TRY(layer.Begin());
    ArchiveStream stream{archive, members, {}, context_.paths.root, options, {}};
    if (!options.config_dir.empty()) {
      VELAFS_ASSIGN(stream.config, ReaderOf(caller, options.config_dir));
    }
    if (caller.uid != 0) {
      stream.owner = {caller.uid, caller.uid == geteuid() ? getegid() : caller.gid};
    }
    return ReceiveArchive(layer, stream, on_bytes);
  };
  return ImportFrom(context_, caller, name, archive, receive, progress);
}

}  // namespace velafs::store
