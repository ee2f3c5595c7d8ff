// `velafs quota`: how much a branch may take on disk.
#include "velafs/base/units.h"
#include "velafs/cli/command.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct QuotaArguments {
  std::string name;
  std::string size;
};

Status RunQuota(const Globals& globals, const QuotaArguments& given) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json branch,
                client->Call("quota", {{"name", given.name}, {"quota", given.size}}));
  const json& bytes = branch["quota_bytes"];
  return PrintConfirmation(
      globals, branch,
      "\"" + given.name + "\" may take " +
          (bytes.is_number() ? FormatSize(bytes.get<uint64_t>()) : std::string("any space")));
}

}  // namespace

void AddQuota(CommandLine& line) {
  CLI::App* quota = line.Add("quota", "Limit the disk space that a branch may use for itself",
                             "velafs quota pr-42 10G\n  velafs quota pr-42 none");
  const auto given = std::make_shared<QuotaArguments>();
  quota->add_option("NAME", given->name, "Branch")->required()->type_name("");
  quota->add_option("SIZE", given->size, "Size, as in 512M 10G, or none")
      ->required()
      ->type_name("");
  line.OnRun(quota, [given](const Globals& globals) { return RunQuota(globals, *given); });
}

}  // namespace velafs::cli
