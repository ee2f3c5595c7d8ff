// What is known of a branch before its server starts, with what had to be put right so that it can.
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
// left out of a copy of the configuration in `run_dir`, and told in `report`: refused under
// `strict`, failed under `as_is`. To be called as the data's owner.
Result<ServerFacts> LearnFacts(const ServerHome& home, const Branch& branch, const RunDir& run_dir,
                               ServerPlaces places, const StartOptions& options,
                               LibraryJudge& judge, Preparation* report);

}  // namespace velafs::pgctl
