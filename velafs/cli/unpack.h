// The files of a store's own archive, made anew on this machine.
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

// Directories of an archive that go elsewhere: by their paths in it, the directory that is
// filled, and the path of the link that takes its place.
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

  // Takes a piece of the archive; fails once the files cannot be made.
  Status Take(std::span<const std::byte> bytes);
  // After the last piece: waits until all is there. With a failure instead of an end, only waits.
  Status Finish(Status end);
  // After Finish: the paths of `elsewhere` that the archive had.
  const std::set<std::string>& found() const { return found_; }

 private:
  struct Place;  // a directory that is filled, and what fills it

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

// Makes all that is in the directory durable, and itself. Follows no symbolic link.
Status SyncTree(int directory_fd);

}  // namespace velafs::cli
