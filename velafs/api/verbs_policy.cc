// The verbs on policies and approvals.
#include <optional>
#include <string>

#include "velafs/api/call.h"
#include "velafs/api/documents.h"

namespace velafs::api {
namespace {

using nlohmann::json;

Answer PoliciesToJson(const Result<std::vector<store::PolicyValue>>& policies) {
  VELAFS_TRY(policies.status());
  json list = json::array();
  for (const store::PolicyValue& one : *policies) {
    list.push_back({{"key", one.key},
                    {"value", one.value.empty() ? json() : json(one.value)},
                    {"from", one.from}});
  }
  return json{{"policies", std::move(list)}};
}

Answer Change(Call& call, const std::map<std::string, std::optional<std::string>>& values) {
  const std::string place = call.arguments.Required("place");
  const std::optional<std::string> name = call.arguments.Text("name");
  VELAFS_TRY(call.arguments.Finish());
  if (place != "store" && place != "source" && place != "branch") {
    return UsageError("argument \"place\" is not store, source or branch");
  }
  if ((place == "store") == name.has_value()) {
    return UsageError("argument \"name\" goes with a source or a branch");
  }
  if (values.empty()) return UsageError("no policy is named");
  return PoliciesToJson(call.store.SetPolicies(place, name, values));
}

Answer Approval(Call& call, bool approved) {
  const std::string source = call.arguments.Required("name");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_TRY(call.store.SetApproved(source, approved));
  return json{{"name", source}, {"approved", approved}};
}

}  // namespace

Answer PolicyShow(Call& call) {
  const std::optional<std::string> name = call.arguments.Text("name");
  VELAFS_TRY(call.arguments.Finish());
  return PoliciesToJson(call.store.ShowPolicies(name));
}

Answer PolicySet(Call& call) {
  std::map<std::string, std::optional<std::string>> values;
  for (const auto& [key, value] : call.arguments.TextMap("set")) values[key] = value;
  return Change(call, values);
}

Answer PolicyUnset(Call& call) {
  std::map<std::string, std::optional<std::string>> values;
  for (const std::string& key : call.arguments.Texts("keys")) values[key] = std::nullopt;
  return Change(call, values);
}

Answer Approve(Call& call) { return Approval(call, true); }
Answer Unapprove(Call& call) { return Approval(call, false); }

}  // namespace velafs::api
