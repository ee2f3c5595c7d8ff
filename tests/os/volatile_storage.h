// A filesystem in memory that treats what was not synced as a disk with a volatile cache does: a
// power cut may lose any of it, in any order, down to single sectors and directory entries. It can
// also fail on demand.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>

#include "velafs/os/storage.h"

namespace velafs::test {

// Thread-safe. Times are kept, but not their durability.
//
// What a power cut leaves: of a file, what its last sync had, with any subset of the writes since,
// sector by sector, and any of its sizes since; of a directory, the entries its last sync had, with
// any subset of the changes since. A rename is there whole or not at all. Syncing a file does not
// make its name durable.
class VolatileStorage : public os::Storage {
 public:
  explicit VolatileStorage(unsigned seed);
  ~VolatileStorage() override;

  // Changes are counted from 0: writes, truncations, syncs, names made and removed.
  uint64_t changes() const;
  // The change after `changes` more is the last, and may happen in part; that, and everything from
  // then on, fails with EIO.
  void CutAfter(uint64_t changes);
  bool is_off() const;
  // After a cut (or at once, which is a cut too): goes on with what the disk has kept. Files opened
  // before stay dead. Some cuts lose all that can be lost, some nothing, most a part: the
  // percentage is drawn when it is not given.
  void PowerOn(std::optional<unsigned> loss_percent = {});
  // The process dies, not its host: everything fails from now on, but nothing is lost.
  void CutOff();
  void Restart();

  // The change after `changes` more fails with this errno and happens in part, or not at all.
  void FailAfter(uint64_t changes, int error_number);
  // No failure is due any more; false when it has struck.
  bool CancelFailure();

  // A lie of the disk, to see that tests find it out: syncs succeed and do nothing.
  enum class Lie { kNone, kFileSyncs, kDirectorySyncs };
  void set_lie(Lie lie);

  Result<std::unique_ptr<os::File>> Open(const std::string& path, os::OpenMode mode) override;
  // Makes missing parents too, durably: what a test's disk has to begin with.
  void MakeDurableDirectories(const std::string& path);
  Status MakeDirectory(const std::string& path, uint32_t mode) override;
  Status RemoveFile(const std::string& path) override;
  Status RemoveTree(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Result<std::vector<os::DirectoryEntry>> List(const std::string& path) override;
  Result<os::FileInfo> Stat(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Result<os::SpaceInfo> Space(const std::string& path) override;

 private:
  class OpenFile;
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  struct Place;

  // Counts a change; a failure when it must not happen. `happens_in_part` says that it may half be
  // done although it fails.
  Status Change(const std::string& path, bool* happens_in_part);
  Status CheckPower(const std::string& path) const;
  bool Toss();
  Result<Place> Find(const std::string& path);
  Result<NodePtr> FindNode(const std::string& path);
  void SetEntry(Node& directory, const std::string& name, NodePtr node, uint64_t group);
  void Settle(Node& node);
  std::string Survivor(const Node& file);

  mutable std::recursive_mutex mutex_;
  std::mt19937 random_;
  NodePtr root_;
  uint64_t changes_ = 0;
  uint64_t life_ = 0;        // counts power cuts and deaths: files of earlier ones are dead
  uint64_t next_group_ = 1;  // entry changes that survive together or not at all
  std::optional<uint64_t> cut_at_;
  bool is_off_ = false;
  std::optional<uint64_t> fail_at_;
  int fail_with_ = 0;
  Lie lie_ = Lie::kNone;
  unsigned loss_percent_ = 0;  // of the cut under way
  uint64_t group_salt_ = 0;
};

}  // namespace velafs::test
