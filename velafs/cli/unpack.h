// Unpacks an archive that a store has made.
#pragma once

#include <map>
#include <set>
#include <string>
#include <thread>

#include "velafs/base/byte_queue.h"
#include "velafs/base/status.h"
#include "velafs/base/streams.h"

struct archive;
struct archive_entry;

namespace velafs::cli {

// Directories of an archive that are unpacked elsewhere: by their paths in it, the directory to
// fill, and the path of the link that replaces it.
struct Elsewhere {
  int directory_fd = -1;  // borrowed
  std::string link;
};
using ElsewhereByPath = std::map<std::string, Elsewhere>;

// Makes everything below the process's working directory, which must be empty; modes, times, links
// and holes as in the archive, owners too when root.
// Never makes anything outside of it but in `elsewhere`. The owners that an archive names get their
// files before all are there: nobody else may pass through the directories on the way. One thread
// calls; it starts another, which changes the working directory until Finish.
class Unpacker {
 public:
  explicit Unpacker(ElsewhereByPath elsewhere = {});
  ~Unpacker();

  // Unpacks a piece of the archive; fails if the files cannot be made.
  Status Write(std::span<const std::byte> bytes);
  // Call it after the last piece: waits until all files are there. After a failure, only waits.
  Status Finish(Status end);
  // After Finish: the paths of `elsewhere` that the archive had.
  const std::set<std::string>& found() const { return found_; }

 private:
  struct Place;  // a directory to fill, and its writer

  Status Unpack();
  Status UnpackEntry(archive* from, archive_entry* entry, Place& top,
                     std::map<std::string, Place>& others);
  // Where the entry goes; for another place than the top, it is given its path there.
  Result<Place*> Choose(archive_entry* entry, Place& top, std::map<std::string, Place>& others);

  const ElsewhereByPath elsewhere_;
  ByteQueue queue_;
  std::set<std::string> found_;
  Status unpacked_;  // of the thread, once it has ended
  std::thread thread_;
};

// Makes the directory and everything in it durable. Follows no symbolic link.
Status SyncTree(int directory_fd);

}  // namespace velafs::cli
