// The rules for libraries that hold for one branch, and their use.
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

// What decides besides our own rules.
struct LibraryPolicy {
  std::optional<std::string> store_rules;  // the text of STORE/extensions.toml
  std::string allowed;                     // the policy allow_libraries
};

// To be called as the caller, not as the branch's owner.
Result<LibraryPolicy> ReadLibraryPolicy(Session& session, const std::string& branch);

// Judges settings that name libraries. The rules are parsed when the first one does. One thread;
// borrows what it is made of.
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
