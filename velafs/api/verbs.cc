#include "velafs/api/verbs.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <optional>
#include <string_view>
#include <vector>

#include "velafs/api/call.h"
#include "velafs/api/documents.h"
#include "velafs/api/progress_gate.h"
#include "velafs/api/version.h"

namespace velafs::api {
namespace {

using nlohmann::json;

Result<json> Import(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::string directory = call.arguments.Required("from_dir");
  VELAFS_TRY(call.arguments.Finish());
  if (!directory.starts_with('/')) {
    return UsageError("argument \"from_dir\" is not an absolute path");
  }
  ProgressGate gate(call.progress);
  Result<store::ImportResult> imported = call.store.Import(
      call.caller, name, directory, [&gate](const store::ImportProgress& progress) {
        return gate.Pass([&] {
          return json{{"bytes_done", progress.bytes_done},
                      {"bytes_total", progress.bytes_total},
                      {"files_done", progress.files_done},
                      {"files_total", progress.files_total}};
        });
      });
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

Result<json> Stats(Call& call) {
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::StoreStats stats, call.store.Stats());
  return json{{"branches", stats.branches},         {"bookmarks", stats.bookmarks},
              {"trashed", stats.trashed},           {"logical_bytes", stats.logical_bytes},
              {"stored_bytes", stats.stored_bytes}, {"chunk_count", stats.chunk_count}};
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
    Verb{"reset", Reset},
    Verb{"promote", Promote},
    Verb{"rename", Rename},
    Verb{"delete", Delete},
    Verb{"undelete", Undelete},
    Verb{"trash-list", TrashList},
    Verb{"trash-purge", TrashPurge},
    Verb{"gc", Gc},
    Verb{"protect", Protect},
    Verb{"unprotect", Unprotect},
    Verb{"label", Label},
    Verb{"note", Note},
    Verb{"chown", Chown},
    Verb{"ttl", Ttl},
    Verb{"expire", Expire},
    Verb{"bookmark-create", BookmarkCreate},
    Verb{"bookmark-list", BookmarkList},
    Verb{"bookmark-delete", BookmarkDelete},
    Verb{"diff", Diff},
    Verb{"export", Export},
    Verb{"stats", Stats},
    Verb{"scrub", Scrub},
    Verb{"assign-port", AssignPort},
    Verb{"status", StoreStatus},
};

}  // namespace

Result<json> RunVerb(store::Store& store, const store::Caller& caller, const std::string& name,
                     const json& arguments, const ProgressFn& progress,
                     const Streams& streams) try {
  for (const Verb& verb : kVerbs) {
    if (verb.name != name) continue;
    Call call{store, caller, Arguments(arguments), progress, streams};
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
