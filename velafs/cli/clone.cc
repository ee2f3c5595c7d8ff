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
  std::optional<std::string> if_exists;
  bool ephemeral = false;
  bool checkpoint = false;
};

std::string DescribeOutcome(const CloneArguments& given, const std::string& outcome) {
  if (outcome == "reused") return "reused \"" + given.name + "\"";
  if (outcome == "reset") return "reset \"" + given.name + "\" to \"" + given.source + "\"";
  return "cloned \"" + given.source + "\" to \"" + given.name + "\"";
}

Status RunClone(const Globals& globals, const CloneArguments& given) {
  json arguments = {{"source", given.source}, {"name", given.name}};
  if (given.ttl) arguments["ttl"] = *given.ttl;
  if (given.owner) arguments["owner"] = *given.owner;
  if (given.note) arguments["note"] = *given.note;
  if (given.as_user) arguments["as_user"] = *given.as_user;
  if (given.quota) arguments["quota"] = *given.quota;
  if (given.if_exists) arguments["if_exists"] = *given.if_exists;
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
      DescribeOutcome(given, branch.value("outcome", "created")) +
          (mounted ? " at \"" + branch["path"].get<std::string>() + "\""
                   : "; its files are shown once the store is mounted: velafs mount"));
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
      ->add_option(
          "--as-user", given->as_user,
          "Show the files as owned by USER, who can then run a server on them; the data is "
          "not changed. UID or UID:GID may be those of a container (default: you, if root serves "
          "the store and you are not an admin; else as SOURCE shows them)")
      ->type_name("USER|UID[:GID]|none");
  command
      ->add_option("--quota", given->quota, "Disk space that it may use for itself, as in 512M 10G")
      ->type_name("SIZE");
  command->add_option("--label", given->labels, "Label; may be given again")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--note", given->note, "Free text")->type_name("TEXT");
  command
      ->add_option(
          "--at", given->at,
          "Clone the newest bookmark made by this time: 2026-11-22T10:00:00Z, local time as "
          "'2026-11-22 10:00' or 'yesterday 14:00', or '2h ago'")
      ->type_name("TIME");
  command
      ->add_option(
          "--if-exists", given->if_exists,
          "If NAME exists and is your clone of SOURCE: fail (error, the default), leave it as it "
          "is (reuse), or reset it to SOURCE's current state (reset). Its lifetime starts again")
      ->type_name("error|reuse|reset");
  command->add_flag(
      "--ephemeral", given->ephemeral,
      "Fast, but not durable: fsync does nothing. If the daemon or the machine dies, the branch "
      "loses all changes since it was made or last frozen");
  command->add_flag("--checkpoint", given->checkpoint,
                    "Make the server on SOURCE, if one runs, write a checkpoint first: the clone's "
                    "server then starts without replay");
  line.OnRun(command, [given](const Globals& globals) { return RunClone(globals, *given); });
}

}  // namespace velafs::cli
