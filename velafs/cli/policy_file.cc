#include "velafs/cli/policy_file.h"

#include <toml++/toml.h>

#include <optional>

#include "velafs/store/govern/policies.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

Status At(const toml::node& node, const std::string& what) {
  return UsageError("line " + std::to_string(node.source().begin.line) + ": " + what);
}

Result<json> ToValues(const toml::table& table) {
  json values = json::object();
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (const auto text = node.value_exact<std::string>()) {
      values[name] = *text;
    } else if (const auto number = node.value_exact<int64_t>()) {
      values[name] = std::to_string(*number);
    } else if (const auto flag = node.value_exact<bool>()) {
      values[name] = *flag ? "on" : "off";
    } else {
      return At(node, "policy \"" + name + "\" is neither a text nor a number nor a truth value");
    }
  }
  return values;
}

// A table of tables by the names of branches.
Status AddNamed(const std::string& place, const toml::table& tables, json* places) {
  for (const auto& [name, node] : tables) {
    if (!node.is_table()) {
      return At(node, "\"" + std::string(name.str()) + "\" is not in a table [" + place + ".NAME]");
    }
    VELAFS_ASSIGN(json values, ToValues(*node.as_table()));
    places->push_back({{"place", place}, {"name", name.str()}, {"set", std::move(values)}});
  }
  return {};
}

Result<json> ToPlaces(const toml::table& file) {
  json places = json::array();
  for (const auto& [key, node] : file) {
    const std::string place(key.str());
    const auto scope = ValueOf(store::kPolicyScopes, place);
    if (!node.is_table() || !scope) {
      return At(node, "\"" + place + "\" is not a table [store], [source.NAME] or [branch.NAME]");
    }
    if (scope != catalog::SettingScope::kStore) {
      VELAFS_TRY(AddNamed(place, *node.as_table(), &places));
      continue;
    }
    VELAFS_ASSIGN(json values, ToValues(*node.as_table()));
    places.push_back({{"place", place}, {"set", std::move(values)}});
  }
  if (places.empty())
    return UsageError("it contains no [store], [source.NAME] or [branch.NAME] table");
  return places;
}

}  // namespace

Result<json> ParsePolicies(const std::string& text, const std::string& name) try {
  Result<json> places = ToPlaces(toml::parse(text));
  if (places.ok()) return places;
  return std::move(places).status().WithContext("cannot read policies from " + name);
} catch (const toml::parse_error& error) {
  return UsageError("cannot read policies from " + name + ": line " +
                    std::to_string(error.source().begin.line) + ": " +
                    std::string(error.description()));
}

}  // namespace velafs::cli
