// The model's operations on whole branches.
#include <doctest/doctest.h>

#include "tests/layer/model.h"

namespace velafs::layer {
namespace {

constexpr size_t kMaxBranches = 8;

}  // namespace

// Nothing that is seen depends on what is in memory.
void Model::DropIdle(const std::string& branch) {
  const auto opened = fixture_.volume().Open(branch);
  if (!opened.ok()) return;
  (*opened)->BeginRound();
  (*opened)->DropIdle(1);
}

Model::KeptState Model::StateOf(const std::string& branch) const {
  KeptState state{.tree = trees_.at(branch), .contents = {}};
  for (const auto& [ino, file] : files_.at(branch)) state.contents[ino] = file.content;
  return state;
}

void Model::Clone(const std::string& source) {
  if (trees_.size() >= kMaxBranches) return;
  const bool is_ephemeral = Pick(4) == 0;
  const std::string name = "clone" + std::to_string(next_name_++);
  Trees after = trees_;
  after[name] = after[source];
  files_[name] = files_[source];
  const KeptState state = StateOf(source);
  if (is_ephemeral) kept_[name] = {state};
  if (kept_.contains(source)) kept_[source].push_back(state);
  if (!BranchesChanged(fixture_.Clone(source, name, is_ephemeral), std::move(after))) return;
  // What a freeze has seen is durable, and so is every earlier change of names.
  for (auto& [ino, file] : files_[source]) file.since_sync = {file.content};
  files_[name] = files_[source];
  if (kept_.contains(source)) kept_[source] = {state};
  durable_from_ = history_.size() - 1;
}

// Changes nothing that is to be seen.
void Model::Merge() {
  const bool go_on = Pick(6) > 0;
  const auto merged = fixture_.Merge([go_on] { return go_on; });
  if (merged.ok() && *merged) ++counts_.merges;
  if (!merged.ok() && merged.status().code() != Code::kRefused) Failed(merged.status());
}

void Model::Seal() {
  const bool go_on = Pick(6) > 0;
  const uint64_t limit_bytes = Pick(3) == 0 ? 1 : UINT64_MAX;
  const auto sealed = fixture_.Seal(limit_bytes, [&] { return go_on || Pick(3) > 0; });
  if (sealed.ok() && *sealed) ++counts_.seals;
  if (!sealed.ok() && sealed.status().code() != Code::kRefused) Failed(sealed.status());
}

void Model::RemoveBranch(const std::string& name) {
  if (trees_.size() < 2 || Pick(3) > 0) return;
  Trees after = trees_;
  after.erase(name);
  const Status removed = fixture_.volume().Remove(name, [](catalog::Writer&) { return Status(); });
  if (!BranchesChanged(removed, std::move(after))) return;
  CHECK_FALSE(fixture_.volume().Open(name).ok());
  limited_.erase(name);
  durable_from_ = history_.size() - 1;
}

// From now on what needs space may be refused; whatever is refused changes nothing.
void Model::Limit(const std::string& branch) {
  const Branch* const open = Open(branch);
  if (open == nullptr) return;
  if (limited_.erase(branch) > 0) {
    fixture_.volume().SetQuota(open->instance(), std::nullopt);
    return;
  }
  limited_.insert(branch);
  fixture_.volume().SetQuota(open->instance(), 1 + Pick(3 * max_file_bytes_));
}

}  // namespace velafs::layer
