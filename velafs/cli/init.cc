// `velafs init`: a store.
#include <optional>

#include "velafs/chunk/codec.h"
#include "velafs/cli/command.h"
#include "velafs/store/store.h"

namespace velafs::cli {

namespace {

using nlohmann::json;

Status RunInit(const Globals& globals, const std::optional<std::string>& compression) {
  if (compression) VELAFS_TRY(chunk::ParseCompression(*compression).status());
  const std::string directory = globals.StoreDirectory();
  VELAFS_TRY(store::Store::Init(directory));
  if (compression) {
    VELAFS_ASSIGN(const auto client, globals.Connect());
    const json arguments = {{"place", "store"}, {"set", {{"compression", *compression}}}};
    VELAFS_TRY(client->Call("policy-set", arguments).status());
  }
  return PrintConfirmation(globals, {{"store", directory}}, "made store \"" + directory + "\"");
}

}  // namespace

void AddInit(CommandLine& line) {
  CLI::App* command =
      line.Add("init", "Make a store",
               "velafs --store /srv/velafs init\n  velafs init --compression zstd:1");
  const auto compression = std::make_shared<std::optional<std::string>>();
  command
      ->add_option("--compression", *compression,
                   "Compression of new chunks: none, zstd or zstd:LEVEL (default: zstd); "
                   "`velafs policy set --of-store compression=...` changes it")
      ->type_name("CODEC");
  line.OnRun(command,
             [compression](const Globals& globals) { return RunInit(globals, *compression); });
}

}  // namespace velafs::cli
