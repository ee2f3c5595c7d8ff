#include "velafs/api/verbs.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <exception>
#include <optional>
#include <string_view>
#include <vector>

#include "velafs/api/arguments.h"
#include "velafs/api/version.h"
#include "velafs/base/units.h"

namespace velafs::api {
namespace {

using nlohmann::json;

// One call of a verb.
struct Call {
  store::Store& store;
  const store::Caller& caller;
  Arguments arguments;
  const ProgressFn& progress;
};

template <typename T>
json OrNull(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

json BranchToJson(const store::BranchInfo& branch) {
  return {
      {"id", branch.id},
      {"name", branch.name},
      {"path", OrNull(branch.path)},
      {"parent", OrNull(branch.parent)},
      {"parent_bookmark", OrNull(branch.parent_bookmark)},
      {"owner", branch.owner},
      {"state", branch.state},
      {"created_at", FormatTime(branch.created_at)},
      {"expires_at", branch.expires_at ? json(FormatTime(*branch.expires_at)) : json()},
      {"protected", branch.is_protected},
      {"labels", branch.labels},
      {"note", branch.note},
      {"own_bytes", branch.own_bytes},
      {"logical_bytes", branch.logical_bytes},
      {"port", OrNull(branch.port)},
  };
}

json BookmarkToJson(const store::BookmarkInfo& bookmark) {
  return {{"name", bookmark.name},
          {"branch", bookmark.branch},
          {"created_at", FormatTime(bookmark.created_at)},
          {"note", bookmark.note}};
}

// Passes on one event per interval, and remembers that the caller asked to stop.
class ProgressGate {
 public:
  explicit ProgressGate(const ProgressFn& sink) : sink_(sink) {}

  bool operator()(const store::ImportProgress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (!sink_ || now < next_) return !stopped_;
    next_ = now + std::chrono::milliseconds(kProgressIntervalMs);
    stopped_ = !sink_({{"bytes_done", progress.bytes_done},
                       {"bytes_total", progress.bytes_total},
                       {"files_done", progress.files_done},
                       {"files_total", progress.files_total}});
    return !stopped_;
  }
  bool stopped() const { return stopped_; }

 private:
  const ProgressFn& sink_;
  std::chrono::steady_clock::time_point next_;
  bool stopped_ = false;
};

Result<json> Import(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::string directory = call.arguments.Required("from_dir");
  VELAFS_TRY(call.arguments.Finish());
  if (!directory.starts_with('/')) {
    return UsageError("argument \"from_dir\" is not an absolute path");
  }
  ProgressGate gate(call.progress);
  Result<store::ImportResult> imported =
      call.store.Import(call.caller, name, directory,
                        [&gate](const store::ImportProgress& progress) { return gate(progress); });
  if (!imported.ok() && gate.stopped()) {
    return Failed("cannot import \"" + name + "\": interrupted");
  }
  VELAFS_TRY(imported.status());
  json result = BranchToJson(imported->branch);
  result["files"] = imported->files;
  result["chunks_new"] = imported->chunks_new;
  result["chunks_shared"] = imported->chunks_shared;
  result["bytes_stored"] = imported->bytes_stored;
  result["warnings"] = imported->warnings;
  return result;
}

Result<json> Clone(Call& call) {
  const std::string source = call.arguments.Required("source");
  const std::string name = call.arguments.Required("name");
  store::CloneOptions options;
  options.ttl = call.arguments.Duration("ttl");
  options.owner = call.arguments.Text("owner");
  options.labels = call.arguments.TextMap("labels");
  options.note = call.arguments.Text("note").value_or("");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::BranchInfo branch,
                call.store.Clone(call.caller, source, name, options));
  return BranchToJson(branch);
}

Result<json> List(Call& call) {
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const std::vector<store::BranchInfo> branches, call.store.List());
  json list = json::array();
  for (const store::BranchInfo& branch : branches) list.push_back(BranchToJson(branch));
  return json{{"branches", std::move(list)}};
}

Result<json> Show(Call& call) {
  const std::string name = call.arguments.Required("name");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::BranchInfo branch, call.store.Show(name));
  return BranchToJson(branch);
}

// What a real deletion would be refused for. Who may call may delete anybody's branch.
Status CheckMayDelete(const store::BranchInfo& branch, bool force) {
  const std::string cannot = "cannot delete \"" + branch.name + "\": ";
  if (branch.is_protected) return Refused(cannot + "the branch is protected");
  if (branch.state == "running" && !force) {
    return Refused(cannot + "a server runs on it", "stop it first, or use --force");
  }
  return {};
}

Result<json> Delete(Call& call) {
  const std::string name = call.arguments.Required("name");
  const bool force = call.arguments.Flag("force");
  const bool dry_run = call.arguments.Flag("dry_run");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::BranchInfo branch, call.store.Show(name));
  VELAFS_TRY(dry_run ? CheckMayDelete(branch, force) : call.store.Delete(call.caller, name, force));
  return json{{"name", name}, {"own_bytes", branch.own_bytes}};
}

Result<json> BookmarkCreate(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::string note = call.arguments.Text("note").value_or("");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::BookmarkInfo bookmark,
                call.store.CreateBookmark(call.caller, name, note));
  return BookmarkToJson(bookmark);
}

Result<json> BookmarkList(Call& call) {
  const std::optional<std::string> branch = call.arguments.Text("branch");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const std::vector<store::BookmarkInfo> bookmarks, call.store.ListBookmarks(branch));
  json list = json::array();
  for (const store::BookmarkInfo& bookmark : bookmarks) list.push_back(BookmarkToJson(bookmark));
  return json{{"bookmarks", std::move(list)}};
}

Result<json> BookmarkDelete(Call& call) {
  const std::string name = call.arguments.Required("name");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_TRY(call.store.DeleteBookmark(call.caller, name));
  return json{{"name", name}};
}

Result<json> Stats(Call& call) {
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::StoreStats stats, call.store.Stats());
  return json{{"branches", stats.branches},
              {"bookmarks", stats.bookmarks},
              {"logical_bytes", stats.logical_bytes},
              {"stored_bytes", stats.stored_bytes},
              {"chunk_count", stats.chunk_count}};
}

Result<json> AssignPort(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::optional<uint16_t> wanted = call.arguments.Port("port");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const uint16_t port, call.store.AssignPort(name, wanted));
  return json{{"name", name}, {"port", port}};
}

Result<json> StoreStatus(Call& call) {
  VELAFS_TRY(call.arguments.Finish());
  return json{{"store", call.store.paths().root},
              {"mountpoint", OrNull(call.store.mountpoint())},
              {"pid", getpid()},
              {"version", kVersion}};
}

struct Verb {
  std::string_view name;
  Result<json> (*run)(Call&);
};

constexpr std::array kVerbs = {
    Verb{"import", Import},
    Verb{"clone", Clone},
    Verb{"list", List},
    Verb{"show", Show},
    Verb{"delete", Delete},
    Verb{"bookmark-create", BookmarkCreate},
    Verb{"bookmark-list", BookmarkList},
    Verb{"bookmark-delete", BookmarkDelete},
    Verb{"stats", Stats},
    Verb{"assign-port", AssignPort},
    Verb{"status", StoreStatus},
};

}  // namespace

Result<json> RunVerb(store::Store& store, const store::Caller& caller, const std::string& name,
                     const json& arguments, const ProgressFn& progress) try {
  for (const Verb& verb : kVerbs) {
    if (verb.name != name) continue;
    Call call{store, caller, Arguments(arguments), progress};
    return verb.run(call);
  }
  return UsageError("unknown verb \"" + name + "\"");
} catch (const std::exception& error) {
  // Nothing below throws on purpose; a caller must not die of what a library throws.
  return Failed("verb \"" + name + "\" failed: " + error.what());
}

store::Caller CallerOf(uint32_t uid) {
  std::array<char, 16 * 1024> buffer;
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return {uid, found == nullptr ? std::to_string(uid) : std::string(found->pw_name)};
}

}  // namespace velafs::api
