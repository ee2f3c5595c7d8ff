#include "velafs/cli/live_settings.h"

#include <algorithm>

#include "velafs/api/configuration.h"
#include "velafs/api/verbs.h"
#include "velafs/cli/policy_file.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/store.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

Result<json> ReadPlaces(const std::string& path) {
  const Result<std::string> text = api::ReadTrusted(path);
  if (!text.ok()) return Status(text.status()).WithContext("cannot read \"" + path + "\"");
  return ParsePolicies(*text, "\"" + path + "\"");
}

// The places of the file, with the policies of [users] for the store, which go before the file's.
json Merged(const LiveSettings& settings) {
  json places = settings.places;
  for (json& place : places) {
    if (place["place"] != "store") continue;
    for (const auto& [key, value] : settings.of_store) place["set"][key] = value;
  }
  return places;
}

bool NamesStore(const json& places) {
  return std::ranges::any_of(places, [](const json& place) { return place["place"] == "store"; });
}

Status ApplyPlaces(store::Store& store, const store::Caller& self, const json& places) {
  if (places.empty()) return {};
  json arguments = {{"places", places}, {"dry_run", true}};
  VELAFS_ASSIGN(const json planned, api::RunVerb(store, self, "policy-apply", arguments, nullptr));
  if (planned["changes"].empty()) return {};
  arguments["dry_run"] = false;
  return api::RunVerb(store, self, "policy-apply", arguments, nullptr).status();
}

// Those that are not set to that.
json Missing(store::Store& store, const std::map<std::string, std::string>& wanted) {
  const auto set = store.policies().SetAt(store::PolicyPlace::OfStore());
  json missing = json::object();
  for (const auto& [key, value] : wanted) {
    const auto found = set.find(key);
    if (found == set.end() || found->second != value) missing[key] = value;
  }
  return missing;
}

}  // namespace

Result<LiveSettings> ReadLiveSettings(const Settings& settings) {
  LiveSettings live;
  live.log_level = settings.Of("mount.log_level").value;
  for (const char* group : {"user_group", "admin_group"}) {
    const std::string& value = settings.Of(std::string("users.") + group).value;
    if (!value.empty()) live.of_store[group] = value;
  }
  if (const std::string& path = settings.Of("policy_file").value; !path.empty()) {
    Result<json> places = ReadPlaces(path);
    if (!places.ok()) {
      return std::move(places).status().WithContext("cannot use policy_file of " +
                                                    settings.Of("policy_file").from);
    }
    live.places = *std::move(places);
  }
  return live;
}

Status ApplyPolicies(store::Store& store, const store::Caller& self, const LiveSettings& settings) {
  VELAFS_TRY(ApplyPlaces(store, self, Merged(settings)));
  if (NamesStore(settings.places)) return {};
  const json missing = Missing(store, settings.of_store);
  if (missing.empty()) return {};
  const json arguments = {{"place", "store"}, {"set", missing}};
  return api::RunVerb(store, self, "policy-set", arguments, nullptr).status();
}

}  // namespace velafs::cli
