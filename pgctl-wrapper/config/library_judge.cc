#include "pgctl-wrapper/config/library_judge.h"

namespace velafs::pgctl {

Result<LibraryPolicy> ReadLibraryPolicy(Session& session, const std::string& branch) {
  LibraryPolicy policy;
  VELAFS_ASSIGN(policy.store_rules, ReadStoreLibraryRules(session.store()));
  VELAFS_ASSIGN(policy.allowed, session.Policy(branch, "allow_libraries"));
  return policy;
}

Result<std::vector<PreloadLibrary>> LibraryJudge::Judge(const std::string& setting,
                                                        const std::string& value) {
  if (SplitLibraries(value).empty()) return std::vector<PreloadLibrary>();
  VELAFS_TRY(Load());
  return JudgeLibraries(places_, rules_, setting, value, as_is_);
}

Status LibraryJudge::Load() {
  if (!places_.library_dir.empty()) return {};
  VELAFS_ASSIGN(rules_, CombineLibraryRules(policy_.store_rules, policy_.allowed));
  places_ = {programs_.LibraryDir(), data_dir_};
  return {};
}

}  // namespace velafs::pgctl
