// The verb that makes a branch out of a PGDATA.
#include "velafs/store/importer.h"
#include "velafs/store/source.h"
#include "velafs/store/store.h"

namespace velafs::store {
namespace {

// The file that says it is a copy of a running server, or of one that follows another; empty when
// there is none.
std::string FileOfBackup(const Source& source) {
  for (const SourceEntry& entry : source.entries) {
    if (entry.parent != 0) continue;
    for (const char* name :
         {"backup_label", "standby.signal", "recovery.signal", "recovery.conf"}) {
      if (entry.name == name) return entry.name;
    }
  }
  return {};
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
  const std::string file_of_backup = FileOfBackup(source);
  std::optional<catalog::SettingRow> isolation;
  Importer importer(storage_, *catalog_, paths_, source, compression, progress);
  const auto fill_and_publish = [&]() -> Result<catalog::CommitSequence> {
    VELAFS_TRY(importer.Run());
    if (!file_of_backup.empty()) isolation = policies_->IsolationOf(importer.root());
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
  if (isolation) {
    result.warnings.push_back("it has a \"" + file_of_backup +
                              "\", so it comes from a running server"
                              ": servers on it and its clones are kept from the network; "
                              "`velafs policy set --source " +
                              name + " network=host` changes that");
  }
  return result;
}

}  // namespace velafs::store
