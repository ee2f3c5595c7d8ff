// The configuration of a source, where its server has it outside of the data directory, as on
// Debian.
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

// What pg_ctlcluster calls the cluster with that directory; nothing for one that is elsewhere.
std::optional<DebianCluster> ClusterAt(const std::string& config_dir,
                                       const std::string& all_configs = kDebianConfigs);

// Where the configuration of the PGDATA at the real path `root` is: the directory whose
// postgresql.conf names it, or else that with its VERSION/NAME. With the rights of the calling
// thread. One that others than root and the owner of PG_VERSION may write to is nobody's.
std::optional<std::string> DebianConfigOf(const std::string& root,
                                          const std::string& all_configs = kDebianConfigs);

// Adds the files of `config_dir`, or of DebianConfigOf when that is "" and the source is a
// directory without a postgresql.conf: that file, conf.d, and what it includes from its directory;
// pg_hba.conf and pg_ident.conf. Of two files with one name the source's own stays. What it does is
// in the warnings: also when nothing is found, or it includes a file that is elsewhere.
// NotFound or Refused when a directory that is named has none.
Status AddConfiguration(Source& source, const std::string& config_dir, const ConfigReader& reader,
                        const std::string& all_configs = kDebianConfigs);

// Of the source's own postgresql.conf and what that includes: warns of what is elsewhere.
Status WarnOfIncludes(Source& source);

}  // namespace velafs::store
