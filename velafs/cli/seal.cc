// `velafs seal`: turns the content of frozen layers into chunks.
#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/interrupt.h"
#include "velafs/cli/output.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

Status RunSeal(const Globals& globals, const std::optional<std::string>& older_than) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  json arguments = json::object();
  if (older_than) arguments["older_than"] = *older_than;
  CatchInterrupts();
  VELAFS_ASSIGN(const json sealed,
                client->Call("seal", arguments, [](const json&) { return !Interrupted(); }));
  const auto layers = sealed["layers_sealed"].get<uint64_t>();
  const std::string what = std::to_string(layers) + (layers == 1 ? " layer" : " layers");
  return PrintConfirmation(globals, sealed,
                           "sealed " + what + ": " +
                               FormatSize(sealed["freed_bytes"].get<uint64_t>()) + " became " +
                               FormatSize(sealed["stored_bytes"].get<uint64_t>()));
}

}  // namespace

void AddSeal(CommandLine& line) {
  CLI::App* command =
      line.Add("seal", "Compress frozen layers (of bookmarks and clones) into chunks",
               "velafs seal\n  velafs seal --older-than 1h");
  const auto older_than = std::make_shared<std::optional<std::string>>();
  command
      ->add_option("--older-than", *older_than,
                   "Only layers frozen longer ago; the daemon seals layers by itself, as the "
                   "policy seal_after says")
      ->type_name("D");
  line.OnRun(command,
             [older_than](const Globals& globals) { return RunSeal(globals, *older_than); });
}

}  // namespace velafs::cli
