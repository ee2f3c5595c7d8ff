// The files that a server needs for SSL.
#pragma once

#include <string>

#include "pgctl-wrapper/config/overrides.h"

namespace velafs::pgctl {

// Why a server that runs as the caller could not load the certificate and key that `own` names, as
// "its key file may be read by others"; empty if it can.
std::string SslProblem(const Settings& own, const std::string& data_dir);

}  // namespace velafs::pgctl
