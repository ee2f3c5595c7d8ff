// Branches as maps of strings, and every operation done to both: to the model, and to a volume on a
// disk that can lose power or fail.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/layer/volume_fixture.h"
#include "tests/os/volatile_storage.h"
#include "tests/sql/storage_vfs.h"

namespace velafs::layer {

class Model {
 public:
  explicit Model(unsigned seed, size_t max_file_bytes = 300'000);

  // One random operation. `with_crashes`: ends of the process, cuts and faults too.
  void Step(bool with_crashes);
  void CheckAll();
  int merges() const { return merges_; }
  int seals() const { return seals_; }

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
    size_t named_at = 0;  // in history_: when its names or attributes last changed
  };
  // Files by inode; those without a name any more too, for a cut may give it back.
  using Files = std::map<InodeNumber, File>;
  using Names = std::map<std::string, InodeNumber>;
  using Namespace = std::map<std::string, Names>;  // of all branches

  static File Durable(std::string content) { return {content, {content}}; }
  size_t Pick(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random_); }
  std::string RandomText(size_t length);
  size_t Position(size_t limit);
  std::string PickBranch();
  bool PickFile(const std::string& branch, std::string* name, File** file);
  Branch* Open(const std::string& branch);

  void DropIdle(const std::string& branch);
  void Clone(const std::string& source);
  void Merge();
  void Seal();
  void Remove(const std::string& name);
  void Create(const std::string& branch);
  void Unlink(const std::string& branch);
  void Rename(const std::string& branch);
  void Write(const std::string& branch);
  void Truncate(const std::string& branch);
  void Allocate(const std::string& branch);
  void Zero(const std::string& branch);
  void Sync(const std::string& branch);
  void Reopen();
  void KillProcess();
  void CutPower();
  void InjectFailure();

  // What `change` makes of the names is the model's from now on if `done` is ok, and else something
  // a cut may leave.
  bool NamesChanged(const Status& done, Namespace after, File* file = nullptr);
  void ContentChanged(const Status& done, File& file, std::string content);
  void Failed(const Status& status);
  void ForgetHistory();

  Result<Namespace> FoundNames();
  Status CheckNames(const Namespace& found) const;
  Status AdoptContents(const Namespace& found);
  static Status CheckIsMixOf(const std::string& found, const std::vector<std::string>& states);
  void CheckBranch(const std::string& name);

  std::mt19937 random_;
  const size_t max_file_bytes_;
  test::VolatileStorage disk_;
  test::StorageForSqlite sqlite_on_disk_;
  VolumeFixture fixture_;

  Namespace names_;
  std::map<std::string, Files> files_;  // by branch
  std::vector<Namespace> history_;      // of names_; a cut leaves one of these
  size_t durable_from_ = 0;             // but none before this
  std::shared_ptr<Branch> open_;
  bool has_failed_ = false;  // an injected failure has struck: recovery is due
  int next_name_ = 0;
  int merges_ = 0;
  int seals_ = 0;
};

}  // namespace velafs::layer
