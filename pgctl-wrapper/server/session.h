// A store as velapg sees it: its branches, and its mount, made when it is missing.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/client.h"

namespace velafs::pgctl {

struct Branch {
  std::string name;
  uint64_t id = 0;
  uint64_t instance = 0;  // another one after a reset or a promotion onto it
  std::string data_dir;   // empty when the store is not mounted
  std::map<std::string, std::string> labels;
  // The server that ran on it when the daemon was asked: the postmaster, or, if that is dead, a
  // backend that has outlived it.
  std::optional<pid_t> server_pid;
  std::optional<pid_t> orphan_pid;
  std::optional<uint16_t> port;  // kept for its server
  std::string expires_at;        // as the store writes times; empty: never
  std::string owner;             // the user whose branch it is
  std::string shown_as;          // the user its files are shown to be of; empty: as they are
  std::string data_owner;        // if shown_as: the user whose data it is; not in a list
};

// One thread.
class Session {
 public:
  // `store_option` is --store's value, or empty.
  static Result<Session> Open(const std::string& store_option);

  // Absolute, without symbolic links.
  const std::string& store() const { return store_; }

  // The branch, wherever it is. NotFound when there is none.
  Result<Branch> Find(const std::string& name);
  // The branches that `filter`, the arguments of verb "list", lets through.
  Result<std::vector<Branch>> List(const nlohmann::json& filter);
  // Whether clones can be shown as any user's.
  bool IsServedByRoot() const;
  // Mounts the store unless it is.
  Status EnsureMounted() { return client_->is_remote() ? Status() : Mount(); }
  // Looks again which server runs on the branch, and which life it is in.
  Status UpdateServer(Branch* branch);
  // The branch under the mount, which is made first if need be.
  Result<Branch> FindMounted(const std::string& name);
  // The port kept for the branch; `wanted` becomes it when given.
  Result<uint16_t> AssignPort(const std::string& name, std::optional<uint16_t> wanted);
  // The value of a policy that holds for the branch; empty when it has none.
  Result<std::string> Policy(const std::string& name, const std::string& key);
  // The directory of this user's pools; Refused where he can have none.
  Result<std::string> PoolsPlace();
  // Runs any verb.
  Result<nlohmann::json> Call(const std::string& verb, const nlohmann::json& arguments) {
    return client_->Call(verb, arguments);
  }

 private:
  Session(std::string store, std::unique_ptr<Client> client)
      : store_(std::move(store)), client_(std::move(client)) {}
  Status Mount();

  std::string store_;
  std::unique_ptr<Client> client_;
  std::string pools_place_;  // once it was asked for
};

}  // namespace velafs::pgctl
