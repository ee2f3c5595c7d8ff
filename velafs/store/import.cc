// The verb that makes a branch out of a PGDATA.
#include <optional>
#include <span>

#include "velafs/base/control_file.h"
#include "velafs/store/importer.h"
#include "velafs/store/source.h"
#include "velafs/store/store.h"

namespace velafs::store {
namespace {

std::optional<uint32_t> FindEntry(const Source& source, uint32_t parent, const char* name) {
  for (uint32_t i = 1; i < source.entries.size(); ++i) {
    if (source.entries[i].parent == parent && source.entries[i].name == name) return i;
  }
  return std::nullopt;
}

Result<std::optional<ClusterState>> StateOf(const Source& source) {
  const std::optional<uint32_t> global = FindEntry(source, 0, "global");
  const auto control = global ? FindEntry(source, *global, "pg_control") : std::nullopt;
  const bool is_file = control && source.entries[*control].kind == SourceEntry::Kind::kFile;
  if (!is_file || source.SizeOf(*control) < kClusterStateBytes) {
    return std::optional<ClusterState>();
  }
  VELAFS_ASSIGN(const os::UniqueFd file, source.Open(*control));
  std::string beginning(kClusterStateBytes, '\0');
  VELAFS_TRY(source.Read(*control, file.get(), 0, std::as_writable_bytes(std::span(beginning))));
  return ParseClusterState(beginning);
}

// What tells that it is a copy of a running server, or of one that follows another; empty when
// nothing does. A server that has crashed leaves what a snapshot of a running one has.
Result<std::string> SignOfRunning(const Source& source) {
  for (const char* name : {"backup_label", "standby.signal", "recovery.signal", "recovery.conf"}) {
    if (FindEntry(source, 0, name)) {
      return "it has a \"" + std::string(name) + "\", so it comes from a running server";
    }
  }
  VELAFS_ASSIGN(const std::optional<ClusterState> state, StateOf(source));
  if (!state || state == ClusterState::kShutDown) return std::string();
  return std::string(
      "its \"global/pg_control\" does not say that it was shut down, so it comes from a running "
      "server, from a standby, or from one that has crashed");
}

}  // namespace

Result<ImportResult> Store::Import(const Caller& caller, const std::string& name,
                                   const std::string& directory, const ImportProgressFn& progress) {
  VELAFS_TRY(CheckName("branch", name));
  const std::string context = "cannot import \"" + directory + "\" as \"" + name + "\"";
  Result<ImportResult> result = ImportResult();
  {
    MutexLock import_lock(import_mutex_);
    {
      MutexLock lock(verbs_mutex_);
      VELAFS_TRY(CheckNameIsFree(name).WithContext(context));
      importing_ = name;
    }
    result = RunImport(caller, name, directory, progress);
    MutexLock lock(verbs_mutex_);
    importing_.clear();
  }
  if (!result.ok()) return std::move(result).status().WithContext(context);
  if (copies_ != nullptr) {
    copies_->Request();
  } else {
    MakeCatalogCopyIfChanged(storage_, paths_);
  }
  TellAdded(name);
  VELAFS_ASSIGN(result->branch, Show(name));
  return result;
}

Result<ImportResult> Store::RunImport(const Caller& caller, const std::string& name,
                                      const std::string& directory,
                                      const ImportProgressFn& progress) {
  VELAFS_ASSIGN(const chunk::Compression compression,
                chunk::ParseCompression(policies_->Get("compression", nullptr)));
  VELAFS_ASSIGN(const Source source,
                FindSource(directory, paths_.root, {caller.uid, caller.gid, caller.groups}));
  VELAFS_ASSIGN(const std::string sign_of_running, SignOfRunning(source));
  std::optional<catalog::SettingRow> isolation;
  Importer importer(storage_, *catalog_, paths_, source, compression, progress);
  const auto fill_and_publish = [&]() -> Result<catalog::CommitSequence> {
    VELAFS_TRY(importer.Run());
    if (!sign_of_running.empty()) isolation = policies_->IsolationOf(importer.root());
    return catalog_->Write([&](catalog::Writer& writer) -> Status {
      VELAFS_TRY(importer.Publish(writer));
      catalog::BranchRow row;
      row.name = name;
      row.root = importer.root();
      row.owner = caller.user;
      row.created_at = NowNs();
      VELAFS_ASSIGN(row.head, writer.AddLayer(importer.layer(), catalog::LayerState::kHead));
      row.first_layer = row.head;
      VELAFS_TRY(writer.SetLayerLogicalBytes(row.head, importer.logical_bytes()));
      VELAFS_ASSIGN(row.instance, writer.ReserveInstance());
      if (isolation) VELAFS_TRY(writer.PutSetting(*isolation));
      return writer.AddBranch(row).status();
    });
  };
  const Result<catalog::CommitSequence> published = fill_and_publish();
  if (!published.ok()) {
    // What this leaves when it fails too is removed when the store is next opened.
    (void)importer.Abandon(*packs_);
    return published.status();
  }
  VELAFS_TRY(catalog_->MakeDurable(*published));

  ImportResult result;
  result.files = importer.files();
  result.chunks_new = importer.counts().chunks_new;
  result.chunks_shared = importer.counts().chunks_shared;
  result.bytes_stored = importer.counts().bytes_stored;
  result.warnings = source.warnings;
  const std::string change = "; `velafs policy set --source " + name + " network=";
  if (isolation) {
    result.warnings.push_back(sign_of_running +
                              ": servers on it and its clones are kept from the network" + change +
                              "host` changes that");
  } else if (!sign_of_running.empty() && policies_->Get("network", nullptr) == "host") {
    result.warnings.push_back(sign_of_running +
                              ": servers on it and its clones reach the network, as the store's "
                              "policy network=host says" +
                              change + "isolated` changes that");
  }
  return result;
}

}  // namespace velafs::store
