#include "velafs/api/verbs.h"

#include <unistd.h>

#include <array>
#include <exception>
#include <optional>
#include <string_view>
#include <vector>

#include "velafs/api/audited.h"
#include "velafs/api/call.h"
#include "velafs/api/documents.h"
#include "velafs/api/users.h"
#include "velafs/api/version.h"
#include "velafs/os/sandbox.h"
#include "velafs/store/disk_use.h"
#include "velafs/store/govern/access.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/users.h"

namespace velafs::api {
namespace {

using nlohmann::json;
using store::Role;

Result<json> Stats(Call& call) {
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::StoreStats stats, call.store.usage().Stats());
  json document = {{"branches", stats.branches},         {"bookmarks", stats.bookmarks},
                   {"trashed", stats.trashed},           {"logical_bytes", stats.logical_bytes},
                   {"stored_bytes", stats.stored_bytes}, {"chunk_count", stats.chunk_count}};
  VELAFS_ASSIGN(const auto disk_use, store::DiskUse(os::HostStorage(), call.store.paths()));
  uint64_t total_bytes = 0;
  for (const auto& [part, bytes] : disk_use) total_bytes += bytes;
  document["disk_bytes"] = disk_use;
  document["total_bytes"] = total_bytes;
  if (!call.caller.IsAdmin()) return document;
  VELAFS_ASSIGN(document["users"], UsersToJson(call.store));
  return document;
}

// The rights that the daemon has given up; null if this process has given up none.
json SandboxToJson() {
  const std::optional<os::Sandbox>& sandbox = os::CurrentSandbox();
  if (!sandbox) return nullptr;
  return {{"capabilities", sandbox->capabilities},
          {"no_new_privileges", sandbox->no_new_privileges},
          {"system_calls_filtered", sandbox->is_filtered}};
}

Result<json> StoreStatus(Call& call) {
  VELAFS_TRY(call.arguments.Finish());
  return json{{"store", call.store.paths().root},
              {"mountpoint", OrNull(call.store.context().mount.mountpoint())},
              {"pid", getpid()},
              {"sandbox", SandboxToJson()},
              {"version", kVersion}};
}

struct Verb {
  std::string_view name;
  Result<json> (*run)(Call&);
  Role needs;  // the least role of a caller; the verb itself checks who owns what
  // Of a verb that changes something; the others leave no trace.
  std::optional<Logged> logged = {};
};

constexpr std::array kVerbs = {
    Verb{"import", Import, Role::kAdmin,
         Logged{{"name"},
                "from_dir",
                {"from_archive", "read_as", "config_dir", "links", "allow_missing_wal"}}},
    Verb{"clone", Clone, Role::kUser,
         Logged{{"name"},
                "source",
                {"ttl", "owner", "at", "as_user", "quota", "ephemeral", "isolated", "if_exists"},
                "labels"}},
    Verb{"list", List, Role::kViewer},
    Verb{"show", Show, Role::kViewer},
    Verb{"server", Server, Role::kViewer},
    Verb{"reset", Reset, Role::kUser, Logged{{"name"}, "to", {"no_bookmark"}, "", "bookmark"}},
    Verb{"promote", Promote, Role::kUser, Logged{{"onto"}, "name"}},
    Verb{"rename", Rename, Role::kUser, Logged{{"name", "new_name"}}},
    Verb{"delete", Delete, Role::kUser,
         Logged{{"name"}, "", {"force", "purge", "names", "owner"}, "labels", "refused"}},
    Verb{"undelete", Undelete, Role::kUser, Logged{{"name", "as"}}},
    Verb{"trash-list", TrashList, Role::kViewer},
    Verb{"trash-purge", TrashPurge, Role::kUser, Logged{{}, "", {"older_than"}}},
    Verb{"gc", Gc, Role::kAdmin, Logged{}},
    Verb{"seal", Seal, Role::kAdmin, Logged{{}, "", {"older_than"}}},
    Verb{"protect", Protect, Role::kUser, Logged{{"name"}, "", {"for"}}},
    Verb{"unprotect", Unprotect, Role::kUser, Logged{{"name"}}},
    Verb{"label", Label, Role::kUser, Logged{{"name"}, "", {"remove"}, "set"}},
    Verb{"note", Note, Role::kUser, Logged{{"name"}}},
    Verb{"chown", Chown, Role::kUser, Logged{{"name"}, "", {"owner"}, "", "former_owner"}},
    Verb{"quota", Quota, Role::kUser, Logged{{"name"}, "", {"quota"}}},
    Verb{"ttl", Ttl, Role::kUser, Logged{{"name"}, "", {"ttl"}}},
    Verb{"expire", Expire, Role::kUser, Logged{}},
    Verb{"bookmark-create", BookmarkCreate, Role::kUser, Logged{{"name"}, "", {"keep"}}},
    Verb{"bookmark-list", BookmarkList, Role::kViewer},
    Verb{"bookmark-delete", BookmarkDelete, Role::kUser, Logged{{"name"}}},
    Verb{"diff", Diff, Role::kViewer},
    Verb{"export", Export, Role::kUser, Logged{{}, "source"}},
    Verb{"tablespaces", Tablespaces, Role::kViewer},
    Verb{"tablespaces-bring-in", TablespacesBringIn, Role::kUser, Logged{{"name"}}},
    Verb{"tablespaces-drop", TablespacesDrop, Role::kUser, Logged{{"name"}, "", {"oid"}}},
    Verb{"stats", Stats, Role::kViewer},
    Verb{"counters", Counters, Role::kViewer},
    Verb{"scrub", Scrub, Role::kAdmin,
         Logged{{}, "", {"repair", "restore_catalog"}, "", "corrupt"}},
    Verb{"assign-port", AssignPort, Role::kUser, Logged{{"name"}, "", {"port"}}},
    Verb{"pool-place", PoolPlace, Role::kUser},
    Verb{"audit", AuditList, Role::kAdmin},
    Verb{"audit-verify", AuditVerify, Role::kAdmin},
    // Who takes a log away, or stops sending it, leaves a trace in it. Who sends it does not: the
    // entry of that would have to be sent, too.
    Verb{"audit-trim", AuditTrim, Role::kAdmin, Logged{{}, "", {"keep", "max_entries"}}},
    Verb{"audit-unshipped", AuditUnshipped, Role::kAdmin},
    Verb{"audit-shipped", AuditShipped, Role::kAdmin},
    Verb{"audit-forget", AuditForget, Role::kAdmin, Logged{{}, "", {"to"}}},
    Verb{"policy-show", PolicyShow, Role::kViewer},
    Verb{"policy-set", PolicySet, Role::kAdmin, Logged{{"name"}, "", {"place", "set"}}},
    Verb{"policy-unset", PolicyUnset, Role::kAdmin, Logged{{"name"}, "", {"place", "keys"}}},
    Verb{"policy-apply", PolicyApply, Role::kAdmin, Logged{{}, "", {"places"}}},
    Verb{"approve", Approve, Role::kAdmin, Logged{{"name"}}},
    Verb{"unapprove", Unapprove, Role::kAdmin, Logged{{"name"}}},
    Verb{"status", StoreStatus, Role::kViewer},
};

bool IsDryRun(const json& arguments) {
  const auto found = arguments.is_object() ? arguments.find("dry_run") : arguments.end();
  return found != arguments.end() && *found == true;
}

Result<json> Run(const Verb& verb, store::Store& store, const store::Caller& caller,
                 const json& arguments, const ProgressFn& progress, const Streams& streams) try {
  VELAFS_TRY(store::CheckRole(store.policies(), caller, verb.needs)
                 .WithContext("cannot run verb \"" + std::string(verb.name) + "\""));
  Call call{store, caller, Arguments(arguments), progress, streams};
  return verb.run(call);
} catch (const std::exception& error) {
  // Nothing below throws on purpose, but a library may: that must not end the process.
  return Failed("verb \"" + std::string(verb.name) + "\" failed: " + error.what());
}

// The entry is made when the verb is done, and before that is answered: of what nobody was told is
// done, there may be no entry after a crash.
Result<json> RunLogged(const Verb& verb, store::Store& store, const store::Caller& caller,
                       const json& arguments, const ProgressFn& progress, const Streams& streams) {
  const AuditedCall audited(caller, verb.name, *verb.logged, arguments);
  Result<json> outcome = Run(verb, store, caller, arguments, progress, streams);
  // A trimming makes its own, along with what it does.
  if (verb.name == store::kAuditTrim && outcome.ok()) return outcome;
  // A dry run leaves a trace only of what it may not do.
  if (IsDryRun(arguments) && outcome.status().code() != Code::kRefused) return outcome;
  return audited.Conclude(store.audit_log(), std::move(outcome));
}

}  // namespace

Result<json> RunVerb(store::Store& store, const store::Caller& asking, const std::string& name,
                     const json& arguments, const ProgressFn& progress, const Streams& streams) {
  store::Caller caller = asking;
  caller.role = store::RoleOf(store.policies(), asking);
  for (const Verb& verb : kVerbs) {
    if (verb.name != name) continue;
    return (verb.logged ? RunLogged : Run)(verb, store, caller, arguments, progress, streams);
  }
  return UsageError("unknown verb \"" + name + "\"");
}

std::vector<std::string_view> VerbNames() {
  std::vector<std::string_view> names;
  for (const Verb& verb : kVerbs) names.push_back(verb.name);
  return names;
}

store::Caller CallerOf(uint32_t uid) { return {uid, store::UserName(uid)}; }

}  // namespace velafs::api
