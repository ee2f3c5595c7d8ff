// The verbs on policies and approvals.
#include <optional>
#include <string>

#include "velafs/api/call.h"
#include "velafs/api/documents.h"
#include "velafs/store/govern/govern_verbs.h"

namespace velafs::api {
namespace {

using catalog::SettingScope;
using nlohmann::json;

Answer PoliciesToJson(const Result<std::vector<store::PolicyValue>>& policies) {
  VELAFS_TRY(policies.status());
  json list = json::array();
  for (const store::PolicyValue& one : *policies) {
    list.push_back({{"key", one.key},
                    {"value", one.value.empty() ? json() : json(one.value)},
                    {"from", one.from ? NameOf(store::kPolicyScopes, *one.from) : "default"}});
  }
  return json{{"policies", std::move(list)}};
}

Result<SettingScope> ToScope(const std::string& place, const std::optional<std::string>& name) {
  const std::optional<SettingScope> scope = ValueOf(store::kPolicyScopes, place);
  if (!scope) return UsageError("argument \"place\" is not store, source or branch");
  if ((scope == SettingScope::kStore) != name.has_value()) return *scope;
  return UsageError("argument \"name\" goes with a source or a branch");
}

Answer Change(Call& call, const std::map<std::string, std::optional<std::string>>& values) {
  const std::string place = call.arguments.Required("place");
  const std::optional<std::string> name = call.arguments.Text("name");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const SettingScope scope, ToScope(place, name));
  if (values.empty()) return UsageError("no policy is named");
  return PoliciesToJson(call.store.governance().SetPolicies(scope, name, values));
}

// {"place","name"?,"set"}
Result<store::PolicyPlan> ToPlan(const json& object) {
  Arguments arguments(object);
  store::PolicyPlan plan;
  const std::string place = arguments.Required("place");
  plan.name = arguments.Text("name");
  plan.values = arguments.TextMap("set");
  VELAFS_TRY(arguments.Finish());
  VELAFS_ASSIGN(plan.scope, ToScope(place, plan.name));
  return plan;
}

Answer Approval(Call& call, bool approved) {
  const std::string source = call.arguments.Required("name");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_TRY(call.store.governance().SetApproved(source, approved));
  return json{{"name", source}, {"approved", approved}};
}

}  // namespace

Answer PolicyShow(Call& call) {
  const std::optional<std::string> name = call.arguments.Text("name");
  VELAFS_TRY(call.arguments.Finish());
  return PoliciesToJson(call.store.governance().ShowPolicies(name));
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

Answer PolicyApply(Call& call) {
  const json* const places = call.arguments.Objects("places");
  const bool dry_run = call.arguments.Flag("dry_run");
  VELAFS_TRY(call.arguments.Finish());
  if (places == nullptr || places->empty()) return UsageError("no place is named");
  std::vector<store::PolicyPlan> plans;
  for (const json& one : *places) {
    VELAFS_ASSIGN(store::PolicyPlan plan, ToPlan(one));
    plans.push_back(std::move(plan));
  }
  VELAFS_ASSIGN(const std::vector<store::PolicyChange> changes,
                call.store.governance().ApplyPolicies(plans, dry_run));
  json list = json::array();
  for (const store::PolicyChange& change : changes) {
    list.push_back({{"place", NameOf(store::kPolicyScopes, change.scope)},
                    {"name", OrNull(change.name)},
                    {"key", change.key},
                    {"from", OrNull(change.from)},
                    {"to", OrNull(change.to)}});
  }
  return json{{"changes", std::move(list)}, {"dry_run", dry_run}};
}

Answer Approve(Call& call) { return Approval(call, true); }
Answer Unapprove(Call& call) { return Approval(call, false); }

}  // namespace velafs::api
