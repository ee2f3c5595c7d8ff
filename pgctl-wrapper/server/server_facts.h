// Facts about a branch before its server starts, and corrections that the start needed.
#pragma once

#include "pgctl-wrapper/config/library_judge.h"
#include "pgctl-wrapper/config/overrides.h"
#include "pgctl-wrapper/server/preparation.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "pgctl-wrapper/server/server.h"
#include "pgctl-wrapper/server/server_command.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Asks the server program for the branch's own settings. Settings and lines that it refuses are
// left out of a copy of the configuration in `run_dir`, and named in `report`; under `strict` this
// is refused, under `as_is` it fails. Call it as the data's owner.
Result<ServerFacts> LearnFacts(const ServerHome& home, const Branch& branch, const RunDir& run_dir,
                               ServerPlaces places, const StartOptions& options,
                               LibraryJudge& judge, Preparation* report);

}  // namespace velafs::pgctl
