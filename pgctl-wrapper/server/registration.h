// A branch as a cluster of Debian's postgresql-common, for pg_lsclusters, pg_ctlcluster and
// postgresql@V-NAME.service. The branch is not moved.
//
// These files make the cluster and belong to root: /etc/postgresql/V/NAME, the link
// /var/lib/postgresql/V/NAME that leads to the branch, and a drop-in of the service. Its
// postgresql.conf is for postgresql-common alone: a server refuses it, since the branch's
// postgresql.auto.conf overrides settings of files, which so could not isolate a clone. So a start
// of the cluster runs velapg (stand_in.h), with the overrides of every server of a branch.
// pg_dropcluster removes the link, not the branch.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/output.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The content of a cluster's files.
struct Registration {
  std::string store;
  std::string branch;
  std::string version;  // as a word: "15"
  std::string cluster;
  uint16_t port = 0;
  std::string data_dir;    // the branch
  std::string socket_dir;  // of its server
  std::string log;         // likewise
  std::string velapg;      // the program
};

std::string ClusterConfig(const Registration& registration);   // postgresql.conf
std::string ClusterControl(const Registration& registration);  // pg_ctl.conf
std::string ClusterUnit(const Registration& registration);     // the service's drop-in
// Store and branch in the text of a ClusterConfig; nothing for the text of another cluster.
std::optional<Registration> ParseClusterConfig(const std::string& text);
// Usage for a name that postgresql-common, systemd or a shell would take otherwise.
Status CheckClusterName(const std::string& name);
// Refused for a path that does not survive pg_ctl's shell.
Status CheckShellPath(const std::string& path);

Result<int> RegisterCluster(const Arguments& arguments, const Output& output);
Result<int> UnregisterCluster(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
