// The files that make a branch a cluster: see registration.h. Root's, in directories that others
// may write to: nothing follows a link, and nothing that is there is replaced but by its own
// successor.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/server/registration.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// /var/lib/postgresql/V/NAME: to postgresql-common the data directory.
std::string ClusterLink(const std::string& version, const std::string& cluster);

// The clusters of a branch: at most one, unless somebody has made others by hand. Only `store`,
// `branch`, `version` and `cluster` are set.
std::vector<Registration> FindClusters(const std::string& store, const std::string& branch);

// Exists if the cluster is another's.
Status CheckClusterFree(const Registration& registration);
// Makes them, or brings those of the same branch up to date. Exists if the cluster is another's.
Status MakeCluster(const Registration& registration);

// Refused if its service is active.
Status CheckClusterStopped(const Registration& cluster);
// Removes the files that MakeCluster made, also those that pg_dropcluster has left.
Status RemoveCluster(const Registration& cluster);

}  // namespace velafs::pgctl
