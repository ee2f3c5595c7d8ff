// `velafs policy show`, `set` and `unset`, `velafs approve` and `unapprove`: shows and sets
// policies.
#include <fstream>
#include <iterator>
#include <system_error>

#include "velafs/cli/command.h"
#include "velafs/cli/policy_file.h"
#include "velafs/cli/render_text.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct PolicyArguments {
  bool store = false;
  std::string source;
  std::vector<std::string> words;  // a branch unless another place is named, and then the policies
};

// The named place, and the remaining words.
Result<json> PlaceOf(const PolicyArguments& given, std::vector<std::string>* rest) {
  *rest = given.words;
  if (given.store) return json{{"place", "store"}};
  if (!given.source.empty()) return json{{"place", "source"}, {"name", given.source}};
  if (rest->empty() || rest->front().find('=') != std::string::npos) {
    return UsageError("no branch, --of-store or --source is named");
  }
  json place = {{"place", "branch"}, {"name", rest->front()}};
  rest->erase(rest->begin());
  return place;
}

std::string PlaceText(const json& arguments) {
  if (arguments["place"] == "store") return "the store";
  return arguments["place"].get<std::string>() + " \"" + arguments["name"].get<std::string>() +
         "\"";
}

// As text it only says what changed: `policy show` prints all policies.
Status Change(const Globals& globals, const std::string& verb, const json& arguments) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json policies, client->Call(verb, arguments));
  std::string text;
  const std::string place = PlaceText(arguments);
  const json set = arguments.value("set", json::object());
  for (const auto& [key, value] : set.items()) {
    text += "set " + key + "=" + value.get<std::string>() + " of " + place + "\n";
  }
  for (const json& key : arguments.value("keys", json::array())) {
    text += "removed " + key.get<std::string>() + " of " + place + "\n";
  }
  if (!text.empty()) text.pop_back();
  return PrintConfirmation(globals, policies, text);
}

Status RunSet(const Globals& globals, const PolicyArguments& given) {
  std::vector<std::string> rest;
  VELAFS_ASSIGN(json arguments, PlaceOf(given, &rest));
  json values = json::object();
  for (const std::string& word : rest) {
    const size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return UsageError("\"" + word + "\" is not KEY=VALUE");
    }
    values[word.substr(0, equals)] = word.substr(equals + 1);
  }
  arguments["set"] = std::move(values);
  return Change(globals, "policy-set", arguments);
}

Status RunUnset(const Globals& globals, const PolicyArguments& given) {
  std::vector<std::string> rest;
  VELAFS_ASSIGN(json arguments, PlaceOf(given, &rest));
  arguments["keys"] = rest;
  return Change(globals, "policy-unset", arguments);
}

Status RunShow(const Globals& globals, const std::string& branch) {
  json arguments = json::object();
  if (!branch.empty()) arguments["name"] = branch;
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json policies, client->Call("policy-show", arguments));
  return PrintResult(globals, policies, RenderPolicies);
}

Result<std::string> ReadText(const std::string& path) {
  std::ifstream file(path == "-" ? "/dev/stdin" : path);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.is_open() && !file.bad()) return text;
  return SystemError(errno, "cannot read \"" + path + "\"");
}

Status RunApply(const Globals& globals, const std::string& path, bool dry_run) {
  VELAFS_ASSIGN(const std::string text, ReadText(path));
  VELAFS_ASSIGN(json places, ParsePolicies(text, "\"" + path + "\""));
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json applied, client->Call("policy-apply", {{"places", std::move(places)},
                                                                  {"dry_run", dry_run}}));
  if (globals.quiet && !globals.json && !dry_run) return {};
  return PrintResult(globals, applied, RenderPolicyChanges);
}

void AddPlace(CLI::App* command, const std::shared_ptr<PolicyArguments>& given,
              const std::string& what) {
  CLI::Option* store = command->add_flag("--of-store", given->store, "Of the whole store");
  command->add_option("--source", given->source, "Of all branches of this one's tree")
      ->type_name("BRANCH")
      ->excludes(store);
  command->add_option("WORDS", given->words, what)->required()->type_name("");
}

void AddApproval(CommandLine& line, const std::string& verb, const std::string& does,
                 const std::string& did) {
  CLI::App* command = line.Add(verb, does, "velafs " + verb + " main@nightly");
  const auto name = std::make_shared<std::string>();
  command->add_option("SOURCE", *name, "Branch, with its bookmarks, or bookmark BRANCH@NAME")
      ->required()
      ->type_name("");
  line.OnRun(command, [name, verb, did](const Globals& globals) -> Status {
    VELAFS_ASSIGN(const auto client, globals.Connect());
    VELAFS_ASSIGN(const json result, client->Call(verb, {{"name", *name}}));
    return PrintConfirmation(globals, result, "\"" + *name + "\" " + did);
  });
}

}  // namespace

void AddPolicy(CommandLine& line) {
  CLI::App* policy = line.Add("policy", "Show and set policies of the store, a source or a branch",
                              "velafs policy set --of-store user_group=developers ttl=3d");
  policy->require_subcommand(1);
  const auto given = std::make_shared<PolicyArguments>();

  CLI::App* show = line.Add("show", "Show each policy, and where it comes from",
                            "velafs policy show pr-42", policy);
  const auto branch = std::make_shared<std::string>();
  show->add_option("BRANCH", *branch, "Branch (default: the store)")->type_name("");
  line.OnRun(show, [branch](const Globals& globals) { return RunShow(globals, *branch); });

  CLI::App* set = line.Add(
      "set", "Set policies; a branch's policy overrides its source's, which overrides the store's",
      "velafs policy set --of-store user_group=developers\n"
      "  velafs policy set --source main ttl=3d max_branches_per_owner=20\n"
      "  velafs policy set pr-42 on_expire=keep",
      policy);
  AddPlace(set, given, "Branch, unless another place is given, and policies: KEY=VALUE...");
  line.OnRun(set, [given](const Globals& globals) { return RunSet(globals, *given); });

  CLI::App* unset =
      line.Add("unset", "Remove policies", "velafs policy unset --of-store ttl", policy);
  AddPlace(unset, given, "Branch, unless another place is given, and policies: KEY...");
  line.OnRun(unset, [given](const Globals& globals) { return RunUnset(globals, *given); });

  CLI::App* apply = line.Add(
      "apply",
      "Make the policies of each place in FILE exactly those that FILE sets: tables [store], "
      "[source.NAME] and [branch.NAME] of a TOML file. Other places stay as they are",
      "velafs policy apply policies.toml --dry-run", policy);
  const auto path = std::make_shared<std::string>();
  const auto dry_run = std::make_shared<bool>(false);
  apply->add_option("FILE", *path, "TOML file, or - for standard input")->required()->type_name("");
  apply->add_flag("--dry-run", *dry_run, "Only show what would change");
  line.OnRun(apply, [path, dry_run](const Globals& globals) {
    return RunApply(globals, *path, *dry_run);
  });

  AddApproval(line, "approve", "Let users clone a branch or bookmark that is not theirs",
              "is approved");
  AddApproval(line, "unapprove",
              "No longer let users clone a branch or bookmark that is not theirs",
              "is not approved");
}

}  // namespace velafs::cli
