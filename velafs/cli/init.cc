// `velafs init`: a store.
#include "velafs/cli/command.h"
#include "velafs/store/store.h"

namespace velafs::cli {

void AddInit(CommandLine& line) {
  CLI::App* command = line.Add("init", "Make a store", "velafs --store /srv/velafs init");
  line.OnRun(command, [](const Globals& globals) -> Status {
    const std::string directory = globals.StoreDirectory();
    VELAFS_TRY(store::Store::Init(directory));
    return PrintConfirmation(globals, {{"store", directory}}, "made store \"" + directory + "\"");
  });
}

}  // namespace velafs::cli
