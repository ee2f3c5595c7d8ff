// The configuration of a source, if its server has it outside of the data directory, as on Debian.
#pragma once

#include <optional>
#include <string>

#include "velafs/base/status.h"
#include "velafs/store/import/source.h"

namespace velafs::store {

inline constexpr char kDebianConfigs[] = "/etc/postgresql";  // each as <this>/VERSION/NAME

struct DebianCluster {
  std::string version;
  std::string name;
};

// pg_ctlcluster's name of the cluster with that directory; nothing for a directory elsewhere.
std::optional<DebianCluster> ClusterAt(const std::string& config_dir,
                                       const std::string& all_configs = kDebianConfigs);

// Where the configuration of the PGDATA at the real path `root` is: the directory whose
// postgresql.conf names it, or else that with its VERSION/NAME. With the rights of the calling
// thread. One that others than root and the owner of PG_VERSION may write to is nobody's.
std::optional<std::string> DebianConfigOf(const std::string& root,
                                          const std::string& all_configs = kDebianConfigs);

// Adds the files of `config_dir`, or of DebianConfigOf if that is "" and the source is a directory
// without a postgresql.conf: that file, conf.d, and its included files in its directory;
// pg_hba.conf and pg_ident.conf. If two files have one name, the source's own stays. Warnings name
// these files, and tell if none is found or an included file is elsewhere. NotFound or Refused if a
// named directory has none.
Status AddConfiguration(Source& source, const std::string& config_dir, const ConfigReader& reader,
                        const std::string& all_configs = kDebianConfigs);

// Warns of included files elsewhere, for the source's own postgresql.conf and its included files.
Status WarnOfIncludes(Source& source);

}  // namespace velafs::store
