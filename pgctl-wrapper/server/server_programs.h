// PostgreSQL's programs of one major version on this host.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::pgctl {

struct ServerPrograms {
  int version = 0;
  std::string bin_dir;

  std::string Path(const std::string& program) const { return bin_dir + "/" + program; }
  // Where the server finds its modules: $libdir in its settings.
  std::string LibraryDir() const;
};

// The words that install that version's server, by the text of /etc/os-release.
std::string HowToInstallServer(std::string_view os_release, int version);

// Looks only in `pgbin` if it is not empty, else below $PGBINROOT, where distributions install
// that version, in `pg_config --bindir` and in PATH. Fails, naming `branch` and the package to
// install, if there are none of that version.
Result<ServerPrograms> FindServerPrograms(int version, const std::string& pgbin,
                                          const std::string& branch);

// The library names of a preload setting's value, which are separated by commas and may be quoted.
std::vector<std::string> SplitLibraries(std::string_view value);
// The inverse.
std::string JoinLibraries(const std::vector<std::string>& libraries);

}  // namespace velafs::pgctl
