// Actors that work on one branch at once, each with files of its own, so that each knows what they
// must hold, whatever the others do.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tests/layer/tree_model.h"
#include "tests/layer/volume_fixture.h"
#include "tests/os/scheduler.h"
#include "tests/os/volatile_storage.h"
#include "tests/sql/storage_vfs.h"

namespace velafs::layer {

// Branch "main" over three layers that nothing needs for themselves, the lower two to be merged and
// then sealed. It has a directory that never changes, one that Namer works in, and a file for
// Writer.
class InterleavedWork {
 public:
  explicit InterleavedWork(unsigned seed);

  // Before the actors: what may be merged is.
  void MergeAll();

  // The actors. Each does some rounds of its work, and checks what it sees.
  void Look();   // at all that never changes, by names, attributes and contents
  void Write();  // page by page, with syncs
  void ChangeNames();
  void Clone();  // freezes; looks at the clone, writes into it and removes it
  void MergeAndSeal();
  void MergeOnce();
  void SealOnce();
  void FreezeOnce();
  void RemoveClone();  // of the one made at first
  void DropIdle();
  void SyncAll();
  void Measure();
  std::vector<test::Scheduler::Actor> AllActors();

  // After the actors have ended.
  void CheckAll();
  // The same once nothing of it is in memory; once it was closed and opened; and that what was
  // synced is there after the power was cut.
  void CheckAfterEnds();

  // What went wrong, in the order in which it was seen.
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  bool MergeIfAny();
  bool SealIfAny();
  void Fault(const std::string& text);
  void Expect(const Status& status, const std::string& context);
  std::shared_ptr<Branch> Main();
  void CheckStill(Branch& branch, const std::string& who);
  void CheckWritten(Branch& branch, uint64_t at_least, const std::string& who);
  void CheckNames(Branch& branch, const TreeModel& expected, const std::string& who);
  Result<TreeModel> NamesOf(Branch& branch);

  test::VolatileStorage disk_;
  test::StorageForSqlite sqlite_on_disk_;
  VolumeFixture fixture_;
  TreeModel still_;  // below "still"
  std::map<std::string, std::string> contents_;
  std::mutex verbs_lock_;  // one verb on branches at a time, as a store has it
  std::atomic<uint64_t> written_ = 1;
  std::atomic<uint64_t> synced_ = 1;
  // Of "names": as they are, and as they are about to be.
  std::mutex names_lock_;
  std::vector<TreeModel> names_;
  std::mutex faults_lock_;
  std::vector<std::string> faults_;
};

}  // namespace velafs::layer
