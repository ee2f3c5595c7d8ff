// The verbs that make a branch out of a PGDATA.
#pragma once

#include <string>

#include "velafs/base/status.h"
#include "velafs/base/streams.h"
#include "velafs/store/caller.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct StoreContext;

// Thread-safe. A verb that returns success is durable.
class ImportVerbs {
 public:
  explicit ImportVerbs(StoreContext& context) : context_(context) {}

  // Makes source branch `name` from the PGDATA at `directory`. No server may run on it. It is only
  // read, with the caller's rights; for root with those of the directory's owner, or of user
  // `options.read_as`. Refused, before anything is stored, if it is not a PGDATA, a server runs on
  // it, or it has files that cannot be copied, for example because the caller may not read them. A
  // failed or cancelled import leaves nothing. One at a time: a second one waits for the first, or
  // is cancelled.
  //
  // If it has no postgresql.conf, the configuration files are taken from `options.config_dir`,
  // or from the directory in /etc/postgresql that is this cluster's; see source_config.h.
  //
  // Files that a server makes again are left out: postmaster.pid, postmaster.opts, the content of
  // pg_stat_tmp, pg_replslot, pg_dynshmem, pg_notify, pg_serial, pg_snapshots, pg_subtrans, and all
  // pgsql_tmp*. Sockets and FIFOs are left out, with a warning. No symbolic link of the branch
  // leads out of it: one that did in `directory` is replaced by its target, with a warning, or is
  // left out or refused as `options.links` says. A tablespace becomes a directory in pg_tblspc,
  // also one that the WAL makes; postgresql.auto.conf then allows that. A backup's tablespace_map
  // is left out; Refused if a file that it or backup_label names is missing.
  Result<ImportResult> Import(const Caller& caller, const std::string& name,
                              const std::string& directory, const ImportProgressFn& progress,
                              const ImportOptions& options = {});
  // The same of an archive, `archive` by name, whose members come as member_stream.h has them;
  // nothing of it is anywhere but in the store, and in files without names beside it. All files are
  // the caller's, unless that is root: then they are whose the archive says. Refused for a path or
  // link that leads out of the archive, and for one that is there twice. setuid and setgid bits of
  // files are left out.
  Result<ImportResult> ImportArchive(const Caller& caller, const std::string& name,
                                     const std::string& archive, const ReadFn& members,
                                     const ImportProgressFn& progress,
                                     const ImportOptions& options = {});

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
