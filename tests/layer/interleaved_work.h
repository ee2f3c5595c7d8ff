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
  void Reset();        // changes another one, and makes it what main is now
  void CollectGarbage();
  void DropIdle();
  void SyncAll();
  void Measure();
  std::vector<test::Scheduler::Actor> AllActors();

  // The power goes after so many changes of the disk from now on: that ends each actor.
  void CutAfter(uint64_t changes) { disk_.CutAfter(changes); }
  bool is_cut() const { return disk_.is_off(); }

  // After the actors have ended.
  void CheckAll();
  // What was synced is there once the power is back, all else is as it was at some time, and all
  // work goes on.
  void CheckAfterCut();
  // The same once nothing of it is in memory; once it was closed and opened; and that what was
  // synced is there after the power was cut.
  void CheckAfterEnds();

  uint64_t packs_rewritten() const { return packs_rewritten_; }
  // What went wrong, in the order in which it was seen.
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  static constexpr size_t kWrittenPages = 4;  // of Writer's file
  static std::string NumberedPage(uint64_t number);
  static Result<std::string> ContentAt(Branch& branch, InodeNumber ino);

  void MakeSources();
  void MakeLayers();
  // What never changes, and the names at first.
  void RecordState();
  // And checks what is left.
  void CutPower();
  struct PowerIsOff {};
  // Ends the work of an actor by an exception while the power is off: then nothing says anything.
  void Fault(const std::string& text);
  void Expect(const Status& status, const std::string& context);
  test::Scheduler::Actor MakeActor(const std::string& name, void (InterleavedWork::*work)());
  bool MergeIfAny();
  bool SealIfAny();
  std::shared_ptr<Branch> Main();
  void CheckStill(Branch& branch, const std::string& who);
  void CheckWritten(Branch& branch, uint64_t at_least, const std::string& who);
  void CheckNames(Branch& branch, const TreeModel& expected, const std::string& who);
  Result<TreeModel> NamesOf(Branch& branch);
  bool WereEver(const TreeModel& names, size_t since);

  test::VolatileStorage disk_;
  test::StorageForSqlite sqlite_on_disk_;
  VolumeFixture fixture_;
  TreeModel still_;  // below "still"
  std::map<std::string, std::string> contents_;
  std::mutex verbs_lock_;  // one verb on branches at a time, as a store has it
  std::mutex packs_lock_;  // taken first: nothing is sealed while garbage is collected
  std::atomic<uint64_t> written_ = 1;
  std::atomic<uint64_t> synced_ = 1;
  std::atomic<uint64_t> packs_rewritten_ = 0;
  // Of "names": as they are, and as they are about to be.
  std::mutex names_lock_;
  std::vector<TreeModel> names_;
  std::mutex faults_lock_;
  std::vector<std::string> faults_;
};

}  // namespace velafs::layer
