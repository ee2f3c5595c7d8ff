// Ends of the model's process, cuts of its power, failures of its disk, and what they may leave.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>

#include "tests/layer/model.h"

namespace velafs::layer {

void Model::AllIsDurable() {
  for (auto& [branch, files] : files_) {
    for (auto& [ino, file] : files) file.since_sync = {file.content};
  }
  limited_.clear();  // no row has the quota
}

void Model::Reopen() {
  open_.reset();
  fixture_.Reopen();
  ForgetHistory();
  AllIsDurable();
  for (auto& [branch, states] : kept_) {
    if (trees_.contains(branch)) states.push_back(StateOf(branch));
  }
  CheckAll();
}

// The process ends at once: what it has handed to the host stays.
void Model::KillProcess() {
  open_.reset();
  disk_.CutOff();
  fixture_.CloseAll();
  disk_.Restart();
  fixture_.OpenAll();
  const auto found = FoundTrees();
  REQUIRE_MESSAGE(found.ok(), found.status().message());
  REQUIRE(found->size() == trees_.size());
  for (const auto& named : *found) {
    const std::string& branch = named.first;
    const auto& tree = named.second;
    if (kept_.contains(branch)) continue;
    REQUIRE_MESSAGE(tree->Matches(TreeOf(branch)), branch, ": ",
                    tree->FirstDifference(TreeOf(branch)));
  }
  const Status adopted = AdoptContents(*found);
  REQUIRE_MESSAGE(adopted.ok(), adopted.message());
  CheckAll();
}

void Model::CutPower() {
  disk_.CutAfter(Pick(40));
  for (int step = 0; !disk_.is_off() && step < 60; ++step) Step(false);
  Recover();
}

void Model::InjectFailure() {
  disk_.FailAfter(Pick(20), Pick(2) == 0 ? EIO : ENOSPC);
  has_failed_ = false;
  for (int step = 0; !has_failed_ && step < 40; ++step) Step(false);
  disk_.CancelFailure();
  if (Pick(2) == 0) disk_.CutAfter(0);
  Recover();
}

void Model::Recover() {
  const Status recovered = TryRecover();
  REQUIRE_MESSAGE(recovered.ok(), recovered.message());
  CheckAll();
}

Status Model::TryRecover() {
  open_.reset();
  disk_.CutAfter(0);
  fixture_.CloseAll();
  disk_.PowerOn();
  // Power may go once more in the middle of recovery.
  if (Pick(3) == 0) {
    disk_.CutAfter(Pick(30));
    if (fixture_.TryOpenAll().ok()) static_cast<void>(FoundTrees());
    fixture_.CloseAll();
    disk_.PowerOn();
  }
  VELAFS_TRY(fixture_.TryOpenAll());
  has_failed_ = false;
  VELAFS_ASSIGN(const Trees found, FoundTrees());
  VELAFS_TRY(CheckTrees(found));
  return AdoptContents(found);
}

Result<Model::Trees> Model::FoundTrees() {
  std::vector<catalog::BranchRow> rows;
  VELAFS_TRY(fixture_.catalog().Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Branches());
    return {};
  }));
  Trees found;
  for (const catalog::BranchRow& row : rows) {
    VELAFS_ASSIGN(const auto branch, fixture_.volume().Open(row.name));
    VELAFS_ASSIGN(TreeModel tree, TreeModel::Read(*branch));
    found[row.name] = std::make_shared<const TreeModel>(std::move(tree));
  }
  return found;
}

// An ephemeral branch goes back to what was frozen of it, whatever the others are.
Status Model::CheckTrees(const Trees& found) const {
  const auto matches = [&](const Trees& state) {
    return std::ranges::equal(found, state, [&](const auto& x, const auto& y) {
      return x.first == y.first && (kept_.contains(x.first) || x.second->Matches(*y.second));
    });
  };
  if (std::any_of(history_.begin() + static_cast<ptrdiff_t>(durable_from_), history_.end(),
                  matches)) {
    return {};
  }
  return velafs::Failed("the names are of no moment since the last that was durable");
}

Status Model::CheckKept(const std::string& branch, const KeptState& found) const {
  for (const KeptState& state : kept_.at(branch)) {
    if (!found.tree->Matches(*state.tree)) continue;
    const bool is_same = std::ranges::all_of(found.contents, [&](const auto& file) {
      const auto kept = state.contents.find(file.first);
      return kept != state.contents.end() && kept->second == file.second;
    });
    if (is_same) return {};
  }
  return velafs::Failed("branch " + branch + " is not as it was frozen");
}

Status Model::AdoptContents(const Trees& found) {
  std::map<std::string, Files> adopted;
  for (const auto& [branch, tree] : found) {
    VELAFS_ASSIGN(const auto open, fixture_.volume().Open(branch));
    adopted[branch];  // a branch may have no files
    const bool is_ephemeral = kept_.contains(branch);
    KeptState state{.tree = tree, .contents = {}};
    for (const auto& [path, entry] : tree->entries()) {
      if (!entry.IsFile()) continue;
      VELAFS_ASSIGN(const Attributes shown, open->Get(entry.ino));
      std::string content(shown.size_bytes, '?');
      VELAFS_TRY(open->Read(entry.ino, 0, std::as_writable_bytes(std::span(content))).status());
      const bool is_known = files_[branch].contains(entry.ino);
      const File& file = files_[branch][is_known ? entry.ino : InodeNumber()];
      if (!is_ephemeral) {
        const auto states = is_known ? file.since_sync : std::vector<std::string>{""};
        VELAFS_TRY(CheckIsMixOf(content, states).WithContext(branch + "/" + path));
      }
      state.contents[entry.ino] = content;
      adopted[branch][entry.ino] = Durable(std::move(content));
    }
    if (!is_ephemeral) continue;
    VELAFS_TRY(CheckKept(branch, state));
    ++counts_.reset_ephemerals;
    kept_[branch].push_back(std::move(state));
  }
  files_ = std::move(adopted);
  trees_ = found;
  ForgetHistory();
  AllIsDurable();
  return {};
}

void Model::ForgetHistory() {
  history_ = {trees_};
  durable_from_ = 0;
  changed_at_.clear();
}

// Every byte of `found` is that byte in one of the states. Bytes past a state's end are zeros.
Status Model::CheckIsMixOf(const std::string& found, const std::vector<std::string>& states) {
  if (std::ranges::find(states, found) != states.end()) return {};
  size_t smallest = SIZE_MAX;
  size_t largest = 0;
  for (const std::string& state : states) {
    smallest = std::min(smallest, state.size());
    largest = std::max(largest, state.size());
  }
  if (found.size() < smallest || found.size() > largest) {
    return velafs::Failed("there are " + std::to_string(found.size()) + " bytes, not " +
                          std::to_string(smallest) + " to " + std::to_string(largest));
  }
  const auto is_known = [&](size_t i) {
    return std::any_of(states.begin(), states.end(), [&](const std::string& state) {
      return found[i] == (i < state.size() ? state[i] : '\0');
    });
  };
  for (size_t i = 0; i < found.size(); ++i) {
    if (!is_known(i)) {
      return velafs::Failed("byte " + std::to_string(i) + " was never written there");
    }
  }
  return {};
}

}  // namespace velafs::layer
