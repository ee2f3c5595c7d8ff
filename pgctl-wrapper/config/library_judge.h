// Applies the rules for libraries to one branch.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pgctl-wrapper/config/library_rules.h"
#include "pgctl-wrapper/config/preloads.h"
#include "pgctl-wrapper/server/server_programs.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The store's additions to the built-in rules.
struct LibraryPolicy {
  std::optional<std::string> store_rules;  // the text of STORE/extensions.toml
  std::string allowed;                     // the policy allow_libraries
};

// Call it with the caller's rights, not the branch owner's.
Result<LibraryPolicy> ReadLibraryPolicy(Session& session, const std::string& branch);

// Judges settings that name libraries. Parses the rules when first used. One thread; borrows its
// arguments.
class LibraryJudge {
 public:
  LibraryJudge(const LibraryPolicy& policy, const ServerPrograms& programs, std::string data_dir,
               bool as_is)
      : policy_(policy), programs_(programs), data_dir_(std::move(data_dir)), as_is_(as_is) {}

  Result<std::vector<PreloadLibrary>> Judge(const std::string& setting, const std::string& value);

 private:
  Status Load();

  const LibraryPolicy& policy_;
  const ServerPrograms& programs_;
  const std::string data_dir_;
  const bool as_is_;
  LibraryRules rules_;
  LibraryPlaces places_;  // empty until loaded
};

}  // namespace velafs::pgctl
