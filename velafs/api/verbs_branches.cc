// The verbs on branches, but for those of verbs_trash.cc.
#include <optional>
#include <string>
#include <vector>

#include "velafs/api/call.h"
#include "velafs/api/documents.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/server_verbs.h"
#include "velafs/store/users.h"

namespace velafs::api {
namespace {

using nlohmann::json;

Answer BranchAnswer(const Result<store::BranchInfo>& branch) {
  VELAFS_TRY(branch.status());
  return BranchToJson(*branch);
}

Result<store::IfExists> ParseIfExists(const std::string& text) {
  if (text == "error") return store::IfExists::kError;
  if (text == "reuse") return store::IfExists::kReuse;
  if (text == "reset") return store::IfExists::kReset;
  return UsageError("\"" + text + "\" does not say what to do if the branch exists",
                    "it is one of: error reuse reset");
}

Result<store::BranchState> ParseListedState(const std::string& text) {
  const std::optional<store::BranchState> state = ValueOf(store::kBranchStates, text);
  if (state && *state != store::BranchState::kDeleted) return *state;
  return UsageError("\"" + text + "\" is not a state of a branch",
                    "the states are ready and running");
}

Status CheckFields(const std::vector<std::string>& fields) {
  const json all = BranchToJson({});
  for (const std::string& field : fields) {
    if (!all.contains(field)) return UsageError("a branch has no field \"" + field + "\"");
  }
  return {};
}

const char* OutcomeName(store::CloneOutcome outcome) {
  if (outcome == store::CloneOutcome::kReused) return "reused";
  return outcome == store::CloneOutcome::kReset ? "reset" : "created";
}

}  // namespace

Answer Clone(Call& call) {
  const std::string source = call.arguments.Required("source");
  const std::string name = call.arguments.Required("name");
  store::CloneOptions options;
  options.ttl = call.arguments.Duration("ttl");
  options.owner = call.arguments.Text("owner");
  options.labels = call.arguments.TextMap("labels");
  options.note = call.arguments.Text("note").value_or("");
  options.at = call.arguments.Time("at");
  options.as_user = call.arguments.Text("as_user");
  options.quota_bytes = call.arguments.Size("quota");
  options.is_ephemeral = call.arguments.Flag("ephemeral");
  options.is_isolated = call.arguments.Flag("isolated");
  const std::string if_exists = call.arguments.Text("if_exists").value_or("error");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(options.if_exists, ParseIfExists(if_exists));
  store::CloneOutcome outcome = store::CloneOutcome::kCreated;
  VELAFS_ASSIGN(const store::BranchInfo branch,
                call.store.branches().Clone(call.caller, source, name, options, &outcome));
  json document = BranchToJson(branch);
  document["outcome"] = OutcomeName(outcome);
  return document;
}

Answer List(Call& call) {
  store::ListFilter filter;
  filter.owner = call.arguments.Text("owner");
  filter.labels = call.arguments.TextMap("labels");
  const std::optional<std::string> state = call.arguments.Text("state");
  const std::vector<std::string> fields = call.arguments.Texts("fields");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_TRY(CheckFields(fields));
  if (state) {
    VELAFS_ASSIGN(filter.state, ParseListedState(*state));
  }
  VELAFS_ASSIGN(const std::vector<store::BranchInfo> branches, call.store.branches().List(filter));
  json document = json::object();
  document["branches"] = BranchesToJson(branches, Fields(fields.begin(), fields.end()));
  return document;
}

Answer Show(Call& call) {
  const std::string name = call.arguments.Required("name");
  VELAFS_TRY(call.arguments.Finish());
  return BranchAnswer(call.store.branches().Show(name));
}

Answer Server(Call& call) {
  const std::string name = call.arguments.Required("name");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::BranchServer server, call.store.servers().On(name));
  json document = {{"name", name},
                   {"instance", server.instance.value},
                   {"server_pid", nullptr},
                   {"orphan_pid", nullptr}};
  if (const auto& process = server.process) {
    document[process->is_postmaster ? "server_pid" : "orphan_pid"] = process->pid;
  }
  return document;
}

Answer Reset(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::optional<std::string> source = call.arguments.Text("to");
  store::ResetOptions options;
  options.dry_run = call.arguments.Flag("dry_run");
  options.keep_state = !call.arguments.Flag("no_bookmark");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::ResetResult reset,
                call.store.replacing().Reset(call.caller, name, source, options));
  json document = BranchToJson(reset.branch);
  document["source"] = reset.source;
  document["bookmark"] = OrNull(reset.bookmark);
  document["lost_bytes"] = reset.lost_bytes;
  document["refusal"] = reset.refusal.empty() ? json() : json(reset.refusal);
  document["dry_run"] = options.dry_run;
  return document;
}

Answer Promote(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::string target = call.arguments.Required("onto");
  const bool dry_run = call.arguments.Flag("dry_run");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::PromoteResult promoted,
                call.store.replacing().Promote(call.caller, name, target, dry_run));
  json document = BranchToJson(promoted.target);
  document["source"] = name;
  document["bookmark"] = promoted.bookmark;
  document["dry_run"] = dry_run;
  return document;
}

Answer Rename(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::string new_name = call.arguments.Required("new_name");
  VELAFS_TRY(call.arguments.Finish());
  return BranchAnswer(call.store.branches().Rename(call.caller, name, new_name));
}

Answer Protect(Call& call) {
  const std::string name = call.arguments.Required("name");
  const auto duration = call.arguments.Duration("for");
  VELAFS_TRY(call.arguments.Finish());
  return BranchAnswer(call.store.branches().Protect(call.caller, name, duration));
}

Answer Unprotect(Call& call) {
  const std::string name = call.arguments.Required("name");
  VELAFS_TRY(call.arguments.Finish());
  return BranchAnswer(call.store.branches().Unprotect(call.caller, name));
}

Answer Label(Call& call) {
  const std::string name = call.arguments.Required("name");
  const auto set = call.arguments.TextMap("set");
  const auto remove = call.arguments.Texts("remove");
  VELAFS_TRY(call.arguments.Finish());
  return BranchAnswer(call.store.branches().ChangeLabels(call.caller, name, set, remove));
}

Answer Note(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::string note = call.arguments.Required("note");
  VELAFS_TRY(call.arguments.Finish());
  return BranchAnswer(call.store.branches().SetNote(call.caller, name, note));
}

Answer Chown(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::string owner = call.arguments.Required("owner");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_TRY(store::FindUser(owner).status().WithContext("cannot chown \"" + name + "\""));
  VELAFS_ASSIGN(const store::ChownResult given,
                call.store.branches().SetOwner(call.caller, name, owner));
  json document = BranchToJson(given.branch);
  document["former_owner"] = given.former_owner;
  return document;
}

Answer Quota(Call& call) {
  const std::string name = call.arguments.Required("name");
  const auto quota = call.arguments.SizeOrNone("quota");
  VELAFS_TRY(call.arguments.Finish());
  return BranchAnswer(call.store.branches().SetQuota(call.caller, name, quota));
}

Answer Ttl(Call& call) {
  const std::string name = call.arguments.Required("name");
  const auto ttl = call.arguments.DurationOrNone("ttl");
  VELAFS_TRY(call.arguments.Finish());
  return BranchAnswer(call.store.branches().SetTtl(call.caller, name, ttl));
}

Answer AssignPort(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::optional<uint16_t> wanted = call.arguments.Port("port");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const uint16_t port, call.store.servers().AssignPort(call.caller, name, wanted));
  return json{{"name", name}, {"port", port}};
}

Answer PoolPlace(Call& call) {
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const std::string path, call.store.servers().PoolPlace(call.caller));
  return json{{"path", path}};
}

}  // namespace velafs::api
