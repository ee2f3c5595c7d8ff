#include "pgctl-wrapper/pool/pool_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "pgctl-wrapper/command/output.h"
#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return SystemError(errno, "cannot create \"" + path + "\"");
}

const char* FileOf(PoolDir::Right right) {
  if (right == PoolDir::Right::kTake) return "/take.lock";
  return right == PoolDir::Right::kFill ? "/fill.lock" : "/next.lock";
}

// False once the file has been removed, and maybe another one made in its place.
bool IsStillAt(const std::string& path, const UniqueFd& file) {
  struct stat open_file {};
  struct stat named {};
  return fstat(file.get(), &open_file) == 0 && stat(path.c_str(), &named) == 0 &&
         open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

PoolPlan PlanFromJson(const json& document) {
  PoolPlan plan;
  document.at("source").get_to(plan.source);
  document.at("state").get_to(plan.state);
  document.at("size").get_to(plan.size);
  document.at("user").get_to(plan.user);
  document.at("dbname").get_to(plan.dbname);
  document.at("pgbin").get_to(plan.start.pgbin);
  plan.as_user = document.value("as_user", "");
  plan.start.timeout = std::chrono::seconds(document.at("timeout_seconds").get<int64_t>());
  if (document.contains("network")) {
    const Result<Network> network = ParseNetwork(document.at("network").get<std::string>());
    if (network.ok()) plan.start.network = *network;
  }
  document.at("standby").get_to(plan.start.standby);
  plan.start.overrides.tcp = document.value("tcp", false);
  document.at("as_is").get_to(plan.start.overrides.as_is);
  document.at("strict").get_to(plan.start.overrides.strict);
  const bool inherit = document.at("inherit_memory").get<bool>();
  plan.start.overrides.memory = inherit ? MemoryProfile::kInherit : MemoryProfile::kSmall;
  return plan;
}

}  // namespace

std::string PoolPlanToText(const PoolPlan& plan) {
  const OverrideChoice& overrides = plan.start.overrides;
  json document = {{"source", plan.source},
                   {"state", plan.state},
                   {"size", plan.size},
                   {"user", plan.user},
                   {"dbname", plan.dbname},
                   {"pgbin", plan.start.pgbin},
                   {"as_user", plan.as_user},
                   {"timeout_seconds", plan.start.timeout.count()},
                   {"standby", plan.start.standby},
                   {"as_is", overrides.as_is},
                   {"tcp", overrides.tcp},
                   {"strict", overrides.strict},
                   {"inherit_memory", overrides.memory == MemoryProfile::kInherit}};
  if (plan.start.network) document["network"] = NetworkName(*plan.start.network);
  return PrettyJson(document);
}

Result<PoolPlan> PoolPlanFromText(std::string_view text) {
  try {
    return PlanFromJson(json::parse(text));
  } catch (const json::exception&) {
    return Failed("the pool's plan cannot be read", "give it again with velapg pool");
  }
}

PoolDir::PoolDir(const std::string& place, std::string name)
    : name_(std::move(name)), path_(place + "/" + name_) {}

std::vector<std::string> PoolDir::Names(const std::string& place) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(place, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status PoolDir::Make() const {
  VELAFS_TRY(MakeDirectory(std::filesystem::path(path_).parent_path()));
  return MakeDirectory(path_);
}

Status PoolDir::Remove() const {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  if (error) return SystemError(error.value(), "cannot remove \"" + path_ + "\"");
  rmdir(
      std::filesystem::path(path_).parent_path().c_str());  // unless it is needed, or the daemon's
  return {};
}

Result<std::optional<PoolPlan>> PoolDir::ReadPlan() const {
  Result<std::string> text = ReadTextFile(path_ + "/plan");
  if (text.status().error_number() == ENOENT) return std::optional<PoolPlan>();
  if (!text.ok()) return std::move(text).status();
  VELAFS_ASSIGN(PoolPlan plan, PoolPlanFromText(*text));
  return std::optional<PoolPlan>(std::move(plan));
}

Status PoolDir::WritePlan(const PoolPlan& plan) const {
  return WriteTextFile(path_ + "/plan", PoolPlanToText(plan));
}

Result<UniqueFd> PoolDir::LockFile(Right right, int operation) const {
  const std::string path = path_ + FileOf(right);
  for (;;) {
    UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file && errno == ENOENT) return NotFound("there is no pool \"" + name_ + "\"");
    if (!file) return SystemError(errno, "cannot open \"" + path + "\"");
    while (flock(file.get(), operation) != 0) {
      if (errno == EWOULDBLOCK) return UniqueFd();
      if (errno != EINTR) return SystemError(errno, "cannot lock \"" + path + "\"");
    }
    if (IsStillAt(path, file)) return file;
  }
}

Result<UniqueFd> PoolDir::Lock(Right right) const { return LockFile(right, LOCK_EX); }

Result<UniqueFd> PoolDir::TryLock(Right right) const { return LockFile(right, LOCK_EX | LOCK_NB); }

}  // namespace velafs::pgctl
