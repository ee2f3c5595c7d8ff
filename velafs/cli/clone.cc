// `velafs clone`: a branch from a branch or a bookmark.
#include <optional>

#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/labels.h"
#include "velafs/cli/wrapper.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct CloneArguments {
  std::string source;
  std::string name;
  std::optional<std::string> ttl;
  std::optional<std::string> owner;
  std::vector<std::string> labels;
  std::optional<std::string> note;
  std::optional<std::string> at;
  std::optional<std::string> as_user;
  std::optional<std::string> quota;
  bool ephemeral = false;
  bool checkpoint = false;
};

Status RunClone(const Globals& globals, const CloneArguments& given) {
  json arguments = {{"source", given.source}, {"name", given.name}};
  if (given.ttl) arguments["ttl"] = *given.ttl;
  if (given.owner) arguments["owner"] = *given.owner;
  if (given.note) arguments["note"] = *given.note;
  if (given.as_user) arguments["as_user"] = *given.as_user;
  if (given.quota) arguments["quota"] = *given.quota;
  if (given.ephemeral) arguments["ephemeral"] = true;
  if (given.at) {
    VELAFS_ASSIGN(const TimeNs at, ParseTime(*given.at));
    arguments["at"] = FormatTime(at);  // the daemon may live in another time zone
  }
  VELAFS_ASSIGN(arguments["labels"], LabelsToJson(given.labels));
  if (given.checkpoint) VELAFS_TRY(Checkpoint(globals, given.source));
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json branch, client->Call("clone", arguments));
  const bool mounted = branch["path"].is_string();
  return PrintConfirmation(
      globals, branch,
      "cloned \"" + given.source + "\" to \"" + given.name + "\"" +
          (mounted ? " at \"" + branch["path"].get<std::string>() + "\"" : ""));
}

}  // namespace

void AddClone(CommandLine& line) {
  CLI::App* command = line.Add("clone", "Make a branch from a branch or a bookmark",
                               "velafs clone main pr-42 --ttl 2d --label ticket=42\n"
                               "  velafs clone main@before-migration retry\n"
                               "  velafs clone main yesterday --at '2026-11-22 10:00'");
  const auto given = std::make_shared<CloneArguments>();
  command->add_option("SOURCE", given->source, "Branch, or bookmark BRANCH@NAME")
      ->required()
      ->type_name("");
  command->add_option("NAME", given->name, "Name of the new branch")->required()->type_name("");
  command->add_option("--ttl", given->ttl, "Lifetime, as in 90s 30m 12h 7d")->type_name("D");
  command->add_option("--owner", given->owner, "Owner (default: you)")->type_name("USER");
  command
      ->add_option("--as-user", given->as_user,
                   "Show the files as owned by USER, who can then run a server on them; nothing of "
                   "it is written. UID or UID:GID may be those of a container (default: you, where "
                   "root serves the store and you are no admin, "
                   "else as those of SOURCE)")
      ->type_name("USER|UID[:GID]|none");
  command
      ->add_option("--quota", given->quota,
                   "How much it may take on disk beyond what it begins with, as in 512M 10G")
      ->type_name("SIZE");
  command->add_option("--label", given->labels, "Label; may be given again")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--note", given->note, "Free text")->type_name("TEXT");
  command
      ->add_option(
          "--at", given->at,
          "From the newest bookmark made by then, as in 2026-11-22T10:00:00Z, or local time")
      ->type_name("TIME");
  command->add_flag(
      "--ephemeral", given->ephemeral,
      "To be thrown away: fsync on it does nothing, so that it is fast; when the daemon "
      "or the machine dies it loses what was changed since it was made or last frozen");
  command->add_flag("--checkpoint", given->checkpoint,
                    "Have the server on SOURCE, if one runs, write a checkpoint first: the clone's "
                    "then starts without replay");
  line.OnRun(command, [given](const Globals& globals) { return RunClone(globals, *given); });
}

}  // namespace velafs::cli
