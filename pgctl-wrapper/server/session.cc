#include "pgctl-wrapper/server/session.h"

#include <unistd.h>

#include <filesystem>

#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/process/process.h"
#include "velafs/base/name.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

std::optional<pid_t> PidFrom(const json& shown, const char* field) {
  const auto pid = shown.find(field);
  if (pid == shown.end() || !pid->is_number_integer()) return std::nullopt;
  return pid->get<pid_t>();
}

std::string TextFrom(const json& shown, const char* field) {
  const auto text = shown.find(field);
  return text != shown.end() && text->is_string() ? text->get<std::string>() : "";
}

Result<Branch> BranchFromJson(const json& shown) {
  const auto id = shown.find("id");
  const auto path = shown.find("path");
  const auto instance = shown.find("instance");
  if (id == shown.end() || !id->is_number_unsigned() || path == shown.end() ||
      instance == shown.end() || !instance->is_number_unsigned()) {
    return Failed("the store's answer has a branch without id, instance or path",
                  "velafs and velapg must be of the same release");
  }
  Branch branch;
  branch.name = shown.value("name", "");
  branch.id = id->get<uint64_t>();
  branch.instance = instance->get<uint64_t>();
  branch.server_pid = PidFrom(shown, "server_pid");
  branch.orphan_pid = PidFrom(shown, "orphan_pid");
  if (const auto port = shown.find("port"); port != shown.end() && port->is_number_unsigned()) {
    branch.port = port->get<uint16_t>();
  }
  branch.owner = shown.value("owner", "");
  if (path->is_string()) branch.data_dir = path->get<std::string>();
  branch.expires_at = TextFrom(shown, "expires_at");
  branch.shown_as = TextFrom(shown, "shown_as");
  branch.data_owner = TextFrom(shown, "data_owner");
  if (const auto labels = shown.find("labels"); labels != shown.end()) {
    for (const auto& [key, value] : labels->items()) {
      if (value.is_string()) branch.labels[key] = value.get<std::string>();
    }
  }
  return branch;
}

// The velafs program installed beside this one, else whatever PATH has.
std::string VelafsProgram() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto beside = self.parent_path() / "velafs";
  return !error && access(beside.c_str(), X_OK) == 0 ? beside.string() : "velafs";
}

}  // namespace

Result<Session> Session::Open(const std::string& store_option) {
  std::string store = StoreDirectory(store_option);
  std::error_code error;
  if (const auto canonical = std::filesystem::canonical(store, error); !error) {
    store = canonical.string();
  }
  VELAFS_ASSIGN(std::unique_ptr<Client> client, Client::Connect(store));
  return Session(std::move(store), std::move(client));
}

bool Session::IsServedByRoot() const {
  if (!client_->is_remote()) return geteuid() == 0;
  const Result<Owner> daemon = OwnerOfFile(store_ + "/run/api.sock");
  return daemon.ok() && daemon->uid == 0;
}

Result<Branch> Session::Find(const std::string& name) {
  VELAFS_TRY(CheckName("branch", name));
  VELAFS_ASSIGN(const json shown, Call("show", {{"name", name}}));
  return BranchFromJson(shown);
}

Status Session::UpdateServer(Branch* branch) {
  VELAFS_ASSIGN(const json server, Call("server", {{"name", branch->name}}));
  branch->instance = server.value("instance", branch->instance);
  branch->server_pid = PidFrom(server, "server_pid");
  branch->orphan_pid = PidFrom(server, "orphan_pid");
  return {};
}

Result<std::vector<Branch>> Session::List(const json& filter) {
  VELAFS_ASSIGN(const json list, Call("list", filter));
  std::vector<Branch> branches;
  for (const json& shown : list.value("branches", json::array())) {
    VELAFS_ASSIGN(Branch branch, BranchFromJson(shown));
    branches.push_back(std::move(branch));
  }
  return branches;
}

Result<Branch> Session::FindMounted(const std::string& name) {
  VELAFS_ASSIGN(Branch branch, Find(name));
  if (!branch.data_dir.empty()) return branch;
  VELAFS_TRY(Mount());
  VELAFS_ASSIGN(branch, Find(name));
  if (!branch.data_dir.empty()) return branch;
  return Failed("store \"" + store_ + "\" is not mounted", "mount it with velafs mount");
}

Status Session::Mount() {
  client_.reset();  // gives the store's lock to the daemon
  Command mount;
  mount.argv = {VelafsProgram(), "--store", store_, "-q", "mount", "--no-autostart"};
  mount.stdout_fd = STDERR_FILENO;  // our standard output is for results
  VELAFS_ASSIGN(const pid_t pid, Spawn(mount));
  const int exit_status = WaitForExit(pid);
  VELAFS_ASSIGN(client_, Client::Connect(store_));
  if (exit_status == 0) return {};
  return Failed("cannot mount store \"" + store_ + "\"", "see what velafs mount says above");
}

Result<std::string> Session::Policy(const std::string& name, const std::string& key) {
  VELAFS_ASSIGN(const json shown, Call("policy-show", {{"name", name}}));
  for (const json& policy : shown.value("policies", json::array())) {
    if (policy.value("key", "") != key) continue;
    const auto value = policy.find("value");
    return value != policy.end() && value->is_string() ? value->get<std::string>() : "";
  }
  return std::string();
}

Result<std::string> Session::PoolsPlace() {
  if (pools_place_.empty()) {
    VELAFS_ASSIGN(const json place, Call("pool-place", json::object()));
    pools_place_ = place.value("path", "");
  }
  if (!pools_place_.empty()) return pools_place_;
  return Failed("the store's answer to \"pool-place\" has no path");
}

Result<uint16_t> Session::AssignPort(const std::string& name, std::optional<uint16_t> wanted) {
  json arguments = {{"name", name}};
  if (wanted) arguments["port"] = *wanted;
  VELAFS_ASSIGN(const json assigned, Call("assign-port", arguments));
  const auto port = assigned.find("port");
  if (port == assigned.end() || !port->is_number_unsigned()) {
    return Failed("the store's answer to \"assign-port\" has no port");
  }
  return port->get<uint16_t>();
}

}  // namespace velafs::pgctl
