#include "pgctl-wrapper/server/clone_user.h"

#include <pwd.h>
#include <unistd.h>

#include "velafs/base/name.h"

namespace velafs::pgctl {
namespace {

bool HasServiceUser() {
  const passwd* user = getpwnam(kServiceUser);
  return user != nullptr && user->pw_uid != 0;
}

}  // namespace

Result<std::optional<std::string>> UserOfClone(Session& session, const std::string& source,
                                               const std::string& wanted) {
  using User = std::optional<std::string>;
  if (!wanted.empty()) return User(wanted);
  if (geteuid() != 0 || !session.IsServedByRoot()) return User();
  VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(source));
  VELAFS_ASSIGN(const Branch branch, session.Find(ref.branch));
  if (!branch.shown_as.empty()) return User();
  VELAFS_ASSIGN(const std::string policy, session.Policy(branch.name, "inspect_user"));
  if (!policy.empty()) return User(policy);
  return HasServiceUser() ? User(kServiceUser) : User();
}

}  // namespace velafs::pgctl
