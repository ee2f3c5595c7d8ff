// Branches as maps of strings, and every operation done to both: to the model, and to a volume on a
// disk that can lose power or fail.
#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/layer/tree_model.h"
#include "tests/layer/volume_fixture.h"
#include "tests/os/volatile_storage.h"
#include "tests/sql/storage_vfs.h"

namespace velafs::layer {

class Model {
 public:
  explicit Model(unsigned seed, size_t max_file_bytes = 150'000);

  // One random operation. `with_crashes`: ends of the process, cuts and faults too.
  void Step(bool with_crashes);
  void CheckAll();

  // How often something rare was done.
  struct Counts {
    int merges = 0;
    int seals = 0;
    int refused_by_quota = 0;
    int renames_over = 0;
    int exchanges = 0;
    int reset_ephemerals = 0;
  };
  const Counts& counts() const { return counts_; }

  test::VolatileStorage& disk() { return disk_; }
  // Power comes back after a cut: the volume opens by itself, with all that was made durable, and
  // with nothing that was never written.
  void Recover();
  Status TryRecover();  // the same, saying what is wrong

 private:
  // A file as it should be, and every state it has had since it was last made durable: a crash may
  // leave any page in any of those, but in no other.
  struct File {
    std::string content;
    std::vector<std::string> since_sync;
    std::optional<TimeNs> mtime = {};  // as somebody has set it; empty when a write has changed it
  };
  // Files by inode; those without a name any more too, for a cut may give it back.
  using Files = std::map<InodeNumber, File>;
  using TreePtr = std::shared_ptr<const TreeModel>;
  using Trees = std::map<std::string, TreePtr>;  // of all branches

  // What an ephemeral branch may be after a crash: a state that was frozen, or closed cleanly.
  struct KeptState {
    TreePtr tree;
    std::map<InodeNumber, std::string> contents;
  };

  static File Durable(std::string content) { return {content, {content}}; }
  size_t Pick(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random_); }
  template <typename T>
  T PickOf(std::initializer_list<T> values) {
    return *std::next(values.begin(), static_cast<ptrdiff_t>(Pick(values.size())));
  }
  std::string RandomText(size_t length);
  size_t Position(size_t limit);
  std::string PickBranch();
  // A path the filter takes; none when there is none. Never the root, but for PickDirectory.
  using EntryFilter = bool (*)(const TreeEntry&);
  std::optional<std::string> PickPath(const std::string& branch, EntryFilter filter);
  std::string PickDirectory(const std::string& branch);
  std::string PickNewPath(const std::string& branch);
  struct PickedFile {
    InodeNumber ino;
    File* file;
    Branch* open;
  };
  std::optional<PickedFile> PickFile(const std::string& branch);
  Branch* Open(const std::string& branch);
  const TreeModel& TreeOf(const std::string& branch) const { return *trees_.at(branch); }

  // Of names and attributes.
  void ChangeNames(const std::string& branch);
  void Make(const std::string& branch);
  void Link(const std::string& branch);
  void Remove(const std::string& branch);
  void UseWithoutName(const std::string& branch);
  void Rename(const std::string& branch);
  int ExpectedOfRename(const TreeModel& tree, const std::string& from, const std::string& to,
                       RenameMode mode) const;
  void SetAttributes(const std::string& branch);
  void SetTimes(const std::string& branch);

  // Of contents.
  void Write(const std::string& branch);
  void Truncate(const std::string& branch);
  void Allocate(const std::string& branch);
  void Zero(const std::string& branch);
  void Sync(const std::string& branch);

  // Of branches.
  void DropIdle(const std::string& branch);
  void Clone(const std::string& source);
  void Merge();
  void Seal();
  void RemoveBranch(const std::string& name);
  void Limit(const std::string& branch);
  KeptState StateOf(const std::string& branch) const;

  // Ends and failures.
  void Reopen();
  void KillProcess();
  void CutPower();
  void InjectFailure();

  // True if the operation was done. What it makes of the names of the branch is the model's from
  // now on if it was, and else something a cut may leave. `touched` are the inodes whose next sync
  // makes it durable.
  bool NamesChanged(const Status& done, const std::string& branch, TreeModel after,
                    std::initializer_list<InodeNumber> touched);
  bool BranchesChanged(const Status& done, Trees after);
  void ContentChanged(const Status& done, const std::string& branch, File& file,
                      std::string content);
  // It failed as it should have.
  void ExpectRefused(const Status& done, int error_number);
  bool IsOverQuota(const Status& done, const std::string& branch);
  void Failed(const Status& status);
  void ForgetHistory();
  void AllIsDurable();

  Result<Trees> FoundTrees();
  Status CheckTrees(const Trees& found) const;
  Status AdoptContents(const Trees& found);
  Status CheckKept(const std::string& branch, const KeptState& found) const;
  static Status CheckIsMixOf(const std::string& found, const std::vector<std::string>& states);
  void CheckBranch(const std::string& name);
  void CheckContents(const std::string& name, Branch& open);

  std::mt19937 random_;
  const size_t max_file_bytes_;
  test::VolatileStorage disk_;
  test::StorageForSqlite sqlite_on_disk_;
  VolumeFixture fixture_;

  Trees trees_;
  std::map<std::string, Files> files_;  // by branch
  std::vector<Trees> history_;          // of trees_; a cut leaves one of these
  size_t durable_from_ = 0;             // but none before this
  // In history_: when an inode's names or attributes last changed.
  std::map<std::pair<std::string, InodeNumber>, size_t> changed_at_;
  std::map<std::string, std::vector<KeptState>> kept_;  // of ephemeral branches
  std::set<std::string> limited_;                       // branches that may be out of quota
  std::shared_ptr<Branch> open_;
  bool has_failed_ = false;  // an injected failure has struck: recovery is due
  int next_name_ = 0;
  Counts counts_;
};

}  // namespace velafs::layer
