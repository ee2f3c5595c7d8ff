#include "velafs/api/users.h"

#include <string>

#include "velafs/store/audit_log.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/store.h"
#include "velafs/store/users.h"

namespace velafs::api {
namespace {

using nlohmann::json;

json& UserIn(json* users, const std::string& name) {
  json& user = (*users)[name];
  if (user.is_null()) {
    user = {
        {"branches", 0}, {"trashed", 0}, {"own_bytes", 0}, {"names", 0}, {"failures_folded", 0}};
  }
  return user;
}

}  // namespace

Result<json> UsersToJson(store::Store& store) {
  json users = json::object();
  VELAFS_ASSIGN(const auto usage, store.usage().ByOwner());
  for (const auto& [name, of] : usage) {
    json& user = UserIn(&users, name);
    user["branches"] = of.branches;
    user["trashed"] = of.trashed;
    user["own_bytes"] = of.own_bytes;
    user["names"] = of.names;
  }
  for (const auto& [uid, count] : store.audit_log().FoldedFailures()) {
    UserIn(&users, store::UserName(uid))["failures_folded"] = count;
  }
  return users;
}

void AddCalls(const std::map<uint32_t, Workers::Load>& loads, json* users) {
  for (const auto& [uid, load] : loads) UserIn(users, store::UserName(uid));
  for (json& user : *users) user["calls_running"] = user["calls_waiting"] = 0;
  for (const auto& [uid, load] : loads) {
    json& user = UserIn(users, store::UserName(uid));
    user["calls_running"] = load.running;
    user["calls_waiting"] = load.waiting;
  }
}

}  // namespace velafs::api
