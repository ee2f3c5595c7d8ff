#include "pgctl-wrapper/connect/own_session.h"

#include <vector>

namespace velafs::pgctl {
namespace {

// With these a caller asks more of a server than its own socket may offer.
constexpr const char* kUnwanted[] = {"PGREQUIREAUTH", "PGCHANNELBINDING", "PGTARGETSESSIONATTRS"};

}  // namespace

std::string OwnSessionOptions(int version) {
  std::vector<std::string> settings = {"statement_timeout=0",
                                       "lock_timeout=0",
                                       "idle_in_transaction_session_timeout=0",
                                       "default_transaction_read_only=off",
                                       "search_path=",
                                       "row_security=off",
                                       "role=none"};
  if (version >= 14) settings.emplace_back("idle_session_timeout=0");
  if (version >= 17) settings.emplace_back("transaction_timeout=0");
  std::string options;
  for (const std::string& setting : settings) {
    options += (options.empty() ? "-c " : " -c ") + setting;
  }
  return options;
}

Environment ForOwnSession(Environment environment, const Connection& connection, int version) {
  for (const char* name : kUnwanted) environment.erase(name);
  environment = WithConnection(std::move(environment), connection);
  environment["PGOPTIONS"] = OwnSessionOptions(version);
  return environment;
}

}  // namespace velafs::pgctl
