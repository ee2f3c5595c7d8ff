// The verb that deletes branches: one by name, or all that match.

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "velafs/api/call.h"
#include "velafs/api/documents.h"
#include "velafs/base/name.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/trash_verbs.h"

namespace velafs::api {
namespace {

using nlohmann::json;

// Which branches to delete: those with one of the names, if there are any, that also pass the
// filter.
struct Selection {
  std::vector<std::string> names;  // or patterns of the shell
  store::ListFilter filter;
  bool if_exists = false;  // a name that no branch has is no failure

  bool is_filtered() const { return filter.owner || !filter.labels.empty(); }
};

std::string TextOf(const Selection& selection) {
  std::string text;
  for (const std::string& name : selection.names) text += " " + name;
  for (const auto& [key, value] : selection.filter.labels)
    text.append(" ").append(key).append("=").append(value);
  if (selection.filter.owner) text += " owner " + *selection.filter.owner;
  return text.substr(std::min<size_t>(text.size(), 1), 256);
}

struct Selected {
  std::vector<std::string> names;
  std::vector<std::string> missing;  // names that no branch has
};

Result<Selected> Select(store::Store& store, const Selection& selection) {
  std::vector<std::string> candidates;
  if (selection.is_filtered()) {
    VELAFS_ASSIGN(const auto branches, store.branches().List(selection.filter));
    for (const store::BranchInfo& branch : branches) candidates.push_back(branch.name);
  } else {
    VELAFS_ASSIGN(candidates, store.branches().Names());
  }
  if (selection.names.empty()) return Selected{std::move(candidates), {}};
  std::ranges::sort(candidates);
  std::set<std::string> names;
  Selected selected;
  for (const std::string& wanted : selection.names) {
    if (IsNamePattern(wanted)) {
      for (const std::string& name : candidates) {
        if (MatchesName(wanted, name)) names.insert(name);
      }
    } else if (std::ranges::binary_search(candidates, wanted)) {
      names.insert(wanted);
    } else {
      VELAFS_TRY(CheckName("branch", wanted));
      selected.missing.push_back(wanted);
    }
  }
  selected.names.assign(names.begin(), names.end());
  return selected;
}

// Deletes branches, and describes each of them.
class Deletion {
 public:
  Deletion(Call& call, const store::DeleteOptions& options) : call_(call), options_(options) {}

  Status Begin() {
    VELAFS_ASSIGN(clones_, call_.store.branches().CloneCounts());
    trash_keep_ = call_.store.policies().Duration("trash_keep", nullptr);
    return {};
  }

  // In the same order.
  std::vector<Answer> Delete(const std::vector<std::string>& names) {
    const auto branches = call_.store.trash().DeleteAll(call_.caller, names, options_);
    std::vector<Answer> answers;
    answers.reserve(branches.size());
    for (const auto& branch : branches) answers.push_back(Describe(branch));
    return answers;
  }

 private:
  Answer Describe(const Result<store::BranchInfo>& branch) {
    VELAFS_TRY(branch.status());
    if (branch->parent_id) TakeOneOff(&clones_[*branch->parent_id]);
    std::optional<TimeNs> kept_until;
    if (!options_.purge && trash_keep_) {
      kept_until = NowNs() + std::chrono::nanoseconds(*trash_keep_).count();
    }
    return json{{"name", branch->name},           {"deleted", true},
                {"own_bytes", branch->own_bytes}, {"clones", clones_[branch->id]},
                {"purged", options_.purge},       {"kept_until", TimeOrNull(kept_until)}};
  }

  // One that was cloned since the counting is not in the count.
  static void TakeOneOff(uint64_t* count) { *count -= std::min<uint64_t>(*count, 1); }

  Call& call_;
  const store::DeleteOptions options_;
  std::map<uint64_t, uint64_t> clones_;
  std::optional<std::chrono::seconds> trash_keep_;
};

json MissingToJson(const std::string& name) {
  return {{"name", name}, {"deleted", false}, {"own_bytes", 0},
          {"clones", 0},  {"purged", false},  {"kept_until", nullptr}};
}

Answer DeleteSelected(Call& call, const Selection& selection, const store::DeleteOptions& options) {
  if (selection.names.empty() && !selection.is_filtered()) {
    return UsageError("no branch to delete is named", "give names, labels or an owner");
  }
  VELAFS_ASSIGN(const Selected selected, Select(call.store, selection));
  if (!selection.if_exists) {
    // A mistake in the last name must not cost the branches named before it.
    for (const std::string& name : selected.missing) {
      VELAFS_TRY(
          call.store.branches().Show(name).status().WithContext("cannot delete \"" + name + "\""));
    }
    if (selected.names.empty()) {
      return NotFound("no branch matches \"" + TextOf(selection) + "\"",
                      "`velafs list` shows the branches");
    }
  }
  Deletion deletion(call, options);
  VELAFS_TRY(deletion.Begin());
  json deleted = json::array();
  json refused = json::array();
  std::vector<Answer> answers = deletion.Delete(selected.names);
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].ok()) {
      deleted.push_back(*std::move(answers[i]));
      continue;
    }
    const Status& failure = answers[i].status();
    if (failure.code() == Code::kNotFound) continue;  // somebody else was faster
    refused.push_back({{"name", selected.names[i]},
                       {"code", CodeName(failure.code())},
                       {"message", failure.message()},
                       {"hint", failure.hint()}});
  }
  return json{{"deleted", std::move(deleted)},
              {"refused", std::move(refused)},
              {"missing", selected.missing},
              {"dry_run", options.dry_run}};
}

}  // namespace

Answer Delete(Call& call) {
  const std::optional<std::string> name = call.arguments.Text("name");
  Selection selection;
  selection.names = call.arguments.Texts("names");
  selection.filter.owner = call.arguments.Text("owner");
  selection.filter.labels = call.arguments.TextMap("labels");
  selection.if_exists = call.arguments.Flag("if_exists");
  store::DeleteOptions options;
  options.force = call.arguments.Flag("force");
  options.purge = call.arguments.Flag("purge");
  options.dry_run = call.arguments.Flag("dry_run");
  VELAFS_TRY(call.arguments.Finish());
  if (!name) return DeleteSelected(call, selection, options);
  if (!selection.names.empty() || selection.is_filtered()) {
    return UsageError("argument \"name\" does not go with \"names\", \"labels\" and \"owner\"");
  }
  Deletion deletion(call, options);
  VELAFS_TRY(deletion.Begin());
  Answer one = std::move(deletion.Delete({*name}).front());
  const bool is_missing = one.status().code() == Code::kNotFound;
  return is_missing && selection.if_exists ? MissingToJson(*name) : one;
}

}  // namespace velafs::api
