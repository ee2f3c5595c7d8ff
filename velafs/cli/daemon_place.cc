#include "velafs/cli/daemon_place.h"

#include <unistd.h>

#include <cstdlib>

#include "velafs/api/client.h"
#include "velafs/api/configuration.h"
#include "velafs/cli/child.h"
#include "velafs/cli/output.h"
#include "velafs/os/scope.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

std::string StoreOfMachine() {
  const auto machine = api::Configuration::LoadOfMachine();
  const auto named = machine.ok() ? machine->Find("store") : std::nullopt;
  return named ? StoreDirectory(*named) : api::DefaultStoreDirectory();
}

}  // namespace

bool IsOfService(const std::string& store_directory) {
  const char* const config = std::getenv("VELAFS_CONFIG");
  const bool has_own_file = config != nullptr && *config != '\0';
  return geteuid() == 0 && !has_own_file && os::HasSystemUnit(kService) &&
         store_directory == StoreOfMachine();
}

Result<json> StartService(const std::string& store_directory) {
  VELAFS_ASSIGN(const Child child, RunChild({"systemctl", "start", kService}));
  if (child.exit_status != 0) {
    return Failed(std::string("the service \"") + kService + "\" does not start",
                  "see: systemctl status velafs; `velafs mount --foreground` works without it");
  }
  VELAFS_ASSIGN(const auto client, Client::Connect(store_directory));
  VELAFS_ASSIGN(json status, client->Call("status", json::object()));
  return json{
      {"mountpoint", status["mountpoint"]}, {"pid", status["pid"]}, {"store", status["store"]}};
}

void LeaveService(const std::string& store_directory) {
  const std::string service = os::ServiceOfThisProcess();
  if (service.empty()) return;
  const Status left = os::EnterScope({.name = "velafs-daemon-" + std::to_string(getpid()),
                                      .description = "velafs: store " + store_directory});
  if (left.ok()) return;
  WriteNotice("warning: the daemon ends with the service \"" + service + "\": " + left.message());
}

}  // namespace velafs::cli
