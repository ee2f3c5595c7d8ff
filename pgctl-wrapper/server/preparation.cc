#include "pgctl-wrapper/server/preparation.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <sstream>

#include "pgctl-wrapper/process/text_file.h"
#include "velafs/base/text.h"
#include "velafs/os/remove_tree.h"

namespace velafs::pgctl {
namespace {

// Names no host: /dev/null has nothing below it, whatever others make on this machine.
constexpr const char* kDetachedConnection =
    "host=/dev/null/detached-from-its-publisher-by-velapg dbname=none";

constexpr uint64_t kLargestSmallFileBytes = 1 << 16;
constexpr size_t kSlotDatabaseOffset = 80;  // in a slot's state: a header of 16 bytes, the name

std::vector<std::string> DirectoryEntries(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  if (!std::filesystem::is_directory(std::filesystem::symlink_status(directory, error)))
    return names;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  return names;
}

bool IsLogicalSlot(const std::string& slot_dir) {
  const Result<std::string> state = ReadBoundedFile(slot_dir + "/state", kLargestSmallFileBytes);
  uint32_t database = 0;
  if (!state.ok() || state->size() < kSlotDatabaseOffset + sizeof database) return false;
  std::memcpy(&database, state->data() + kSlotDatabaseOffset, sizeof database);
  return database != 0;
}

bool IsFilled(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && info.st_size > 0;
}

}  // namespace

PreparedMarker PreparedMarker::Read(const RunDir& run_dir, uint64_t instance) {
  PreparedMarker marker;
  marker.path_ = run_dir.path + "/prepared";
  marker.instance_ = instance;
  const Result<std::string> text = ReadBoundedFile(marker.path_, kLargestSmallFileBytes);
  if (!text.ok()) return marker;
  std::istringstream words(*text);
  uint64_t of_instance = 0;
  if (!(words >> of_instance) || of_instance != instance) return marker;
  for (std::string word; words >> word;) {
    if (word == "slots") marker.slots_removed_ = true;
    if (word == "catalog") marker.catalog_prepared_ = true;
  }
  return marker;
}

Status PreparedMarker::RecordSlotsRemoved() {
  slots_removed_ = true;
  return Write();
}

Status PreparedMarker::RecordCatalogPrepared() {
  catalog_prepared_ = true;
  return Write();
}

Status PreparedMarker::Write() const {
  return WriteTextFile(path_, std::to_string(instance_) + (slots_removed_ ? " slots" : "") +
                                  (catalog_prepared_ ? " catalog" : "") + "\n");
}

Status RemoveReplicationSlots(const std::string& data_dir, Preparation* report) {
  const std::string directory = data_dir + "/pg_replslot";
  for (const std::string& name : DirectoryEntries(directory)) {
    const std::string path = directory + "/" + name;
    const std::string kind = IsLogicalSlot(path) ? "logical" : "physical";
    VELAFS_TRY(os::RemoveTree(AT_FDCWD, path));
    report->neutralised.push_back(
        {"replication slot " + Quoted(name), "removed", "nobody reads it here, and it keeps WAL"});
    report->warnings.push_back("removed " + kind + " replication slot " + Quoted(name) +
                               ", which came along with the data");
  }
  return {};
}

size_t CountPreparedTransactions(const std::string& data_dir) {
  return DirectoryEntries(data_dir + "/pg_twophase").size();
}

bool MayHaveForeignServers(const std::string& data_dir) {
  const std::string base = data_dir + "/base";
  for (const std::string& database : DirectoryEntries(base)) {
    if (IsFilled(base + "/" + database + "/1417")) return true;
  }
  return false;
}

Status DetachSubscriptions(SingleUser& server, Preparation* report) {
  const std::string connection = "'" + std::string(kDetachedConnection) + "'";
  const std::string attached =
      "(s.subenabled OR s.subslotname IS NOT NULL OR s.subconninfo <> " + connection + ")";
  VELAFS_ASSIGN(const std::vector<Row> rows,
                server.Query({"s.subname", "d.datname"},
                             "FROM pg_catalog.pg_subscription s LEFT JOIN pg_catalog.pg_database "
                             "d ON d.oid = s.subdbid WHERE " +
                                 attached));
  if (rows.empty()) return {};
  VELAFS_TRY(server.Execute(
      "UPDATE pg_catalog.pg_subscription SET subenabled = false, subslotname = NULL, "
      "subconninfo = " +
      connection));
  VELAFS_ASSIGN(const std::vector<Row> left,
                server.Query({"s.subname"}, "FROM pg_catalog.pg_subscription s WHERE " + attached));
  if (!left.empty()) return Failed("subscription " + Quoted(left[0][0]) + " cannot be detached");
  for (const Row& row : rows) {
    const std::string which = Quoted(row[0]) + " of database " + Quoted(row[1]);
    report->neutralised.push_back({"subscription " + which, "disabled, without slot and connection",
                                   "would take over, or drop, the publisher's slot"});
    report->warnings.push_back("subscription " + which + " was detached from its publisher; to " +
                               "use it here, give it a connection and a slot of its own with " +
                               "ALTER SUBSCRIPTION");
  }
  return {};
}

}  // namespace velafs::pgctl
