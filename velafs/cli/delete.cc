// `velafs delete`: branches away.
#include <optional>

#include "velafs/base/counted.h"
#include "velafs/base/name.h"
#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/labels.h"
#include "velafs/cli/output.h"
#include "velafs/cli/render_cells.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct DeleteArguments {
  std::vector<std::string> names;
  std::vector<std::string> labels;
  std::optional<std::string> owner;
  bool if_exists = false;
  bool force = false;
  bool purge = false;
  bool dry_run = false;
};

// `deleted "main" (1.2 MiB); its 3 clones stay; to bring it back within 7d: velafs undelete main`.
std::string DescribeDeleted(const json& branch, bool dry_run) {
  const std::string name = branch["name"].get<std::string>();
  std::string text = std::string(dry_run ? "would delete" : "deleted") + " \"" + name + "\" (" +
                     FormatSize(branch["own_bytes"].get<uint64_t>()) + ")";
  if (const auto clones = branch["clones"].get<uint64_t>(); clones > 0) {
    text += clones == 1 ? "; its clone stays" : "; its " + Counted(clones, "clone") + " stay";
  }
  if (dry_run || branch["kept_until"].is_null()) return text;
  return text + "; to bring it back within " + TimeLeft(branch, "kept_until") +
         ": velafs undelete " + name;
}

std::string RenderDeleted(const json& result) {
  std::string text;
  const auto add_line = [&text](const std::string& line) {
    text += (text.empty() ? "" : "\n") + line;
  };
  for (const json& branch : result["deleted"]) {
    add_line(DescribeDeleted(branch, result["dry_run"].get<bool>()));
  }
  for (const json& name : result["missing"]) {
    add_line("there is no branch \"" + name.get<std::string>() + "\"");
  }
  return text.empty() ? "nothing to delete" : text;
}

// The failure that ends the command when some branches were not deleted.
Status FailureOf(const json& result) {
  const json& refused = result["refused"];
  if (refused.empty()) return {};
  const auto failure_of = [](const json& one) {
    const std::string code = one["code"].get<std::string>();
    return Status(CodeFromName(code), 1, one["message"].get<std::string>(),
                  one["hint"].get<std::string>());
  };
  if (refused.size() == 1) return failure_of(refused[0]);
  for (const json& one : refused) ReportProblem(failure_of(one));
  return Refused(Counted(refused.size(), "branch", "branches") + " could not be deleted");
}

// One branch by its name: the failure is that of the command.
Result<json> DeleteOne(Client& client, const DeleteArguments& given, json arguments) {
  arguments["name"] = given.names[0];
  VELAFS_ASSIGN(json one, client.Call("delete", arguments));
  const bool is_missing = !one["deleted"].get<bool>();
  json result = {{"deleted", json::array()},
                 {"refused", json::array()},
                 {"missing", json::array()},
                 {"dry_run", given.dry_run}};
  if (is_missing) {
    result["missing"].push_back(given.names[0]);
  } else {
    result["deleted"].push_back(std::move(one));
  }
  return result;
}

Result<json> DeleteMany(Client& client, const DeleteArguments& given, json arguments) {
  arguments["names"] = given.names;
  if (given.owner) arguments["owner"] = *given.owner;
  VELAFS_ASSIGN(arguments["labels"], LabelsToJson(given.labels));
  return client.Call("delete", arguments);
}

Status RunDelete(const Globals& globals, const DeleteArguments& given) {
  const json arguments = {{"force", given.force},
                          {"purge", given.purge},
                          {"dry_run", given.dry_run},
                          {"if_exists", given.if_exists}};
  const bool is_one = given.names.size() == 1 && given.labels.empty() && !given.owner &&
                      !IsNamePattern(given.names[0]);
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json result, is_one ? DeleteOne(*client, given, arguments)
                                          : DeleteMany(*client, given, arguments));
  VELAFS_TRY(PrintConfirmation(globals, result, RenderDeleted(result)));
  return FailureOf(result);
}

}  // namespace

void AddDelete(CommandLine& line) {
  CLI::App* command = line.Add("delete", "Delete branches; `velafs undelete` brings them back",
                               "velafs delete pr-42 pr-43\n"
                               "  velafs delete 'pr-*' --dry-run\n"
                               "  velafs delete --label ci=true --owner alice --if-exists");
  command->alias("rm");
  const auto given = std::make_shared<DeleteArguments>();
  command->add_option("NAME", given->names, "Branch, or pattern as 'pr-*' (quote it)")
      ->type_name("");
  command->add_option("--label", given->labels, "Only branches with this label; may be given again")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--owner", given->owner, "Only branches of this owner")->type_name("USER");
  command->add_flag("--if-exists", given->if_exists, "Do not fail if there is no such branch");
  command->add_flag("--force", given->force, "Delete it even while a server runs on it");
  command->add_flag("--purge", given->purge, "Delete for good, without the trash");
  command->add_flag("--dry-run", given->dry_run, "Only say what would be deleted");
  line.OnRun(command, [given](const Globals& globals) { return RunDelete(globals, *given); });
}

}  // namespace velafs::cli
