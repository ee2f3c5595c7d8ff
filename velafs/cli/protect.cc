// `velafs protect` and `unprotect`: a branch that is not to be deleted, reset or promoted onto.
#include "velafs/cli/command.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct ProtectArguments {
  std::string name;
  std::optional<std::string> duration;
};

Status RunProtect(const Globals& globals, const ProtectArguments& given) {
  json arguments = {{"name", given.name}};
  if (given.duration) arguments["for"] = *given.duration;
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json branch, client->Call("protect", arguments));
  const json& until = branch["protected_until"];
  return PrintConfirmation(globals, branch,
                           "protected \"" + given.name + "\"" +
                               (until.is_string() ? " until " + until.get<std::string>() : ""));
}

Status RunUnprotect(const Globals& globals, const ProtectArguments& given) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json branch, client->Call("unprotect", {{"name", given.name}}));
  return PrintConfirmation(globals, branch, "\"" + given.name + "\" is not protected");
}

}  // namespace

void AddProtect(CommandLine& line) {
  const auto given = std::make_shared<ProtectArguments>();
  CLI::App* protect =
      line.Add("protect", "Refuse to delete, reset or expire a branch, or to promote onto it",
               "velafs protect main\n  velafs protect pr-42 --for 7d");
  protect->add_option("NAME", given->name, "Branch")->required()->type_name("");
  protect->add_option("--for", given->duration, "Only for this time, as in 90s 30m 12h 7d")
      ->type_name("D");
  line.OnRun(protect, [given](const Globals& globals) { return RunProtect(globals, *given); });

  CLI::App* unprotect =
      line.Add("unprotect", "Remove a branch's protection", "velafs unprotect main");
  unprotect->add_option("NAME", given->name, "Branch")->required()->type_name("");
  line.OnRun(unprotect, [given](const Globals& globals) { return RunUnprotect(globals, *given); });
}

}  // namespace velafs::cli
