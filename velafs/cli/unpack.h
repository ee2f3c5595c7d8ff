// The files of an archive, made anew on this machine.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "velafs/base/byte_queue.h"
#include "velafs/base/status.h"
#include "velafs/base/streams.h"

struct archive;
struct archive_entry;

namespace velafs::cli {

// Whose an archive is. In one of somebody else's, in any of the usual compressions, only files,
// directories and links are taken, and no link that leads out of it.
enum class Archive { kOurs, kForeign };

// Directories of an archive of ours that go elsewhere: by their paths in it, the directory that is
// filled, and the path of the link that takes its place.
struct Elsewhere {
  std::string directory;  // absolute, without symbolic links on the way, and there
  std::string link;
};
using ElsewhereByPath = std::map<std::string, Elsewhere>;

struct FileOwner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Makes everything below `directory`, which must be there, be empty, and be the process's working
// directory; modes, times, links and holes as in the archive, owners too when root, unless it is
// given one that all are to have. Never makes
// anything outside of it but in `elsewhere`. One thread calls; it starts another.
class Unpacker {
 public:
  Unpacker(std::string directory, Archive archive, ElsewhereByPath elsewhere = {},
           std::optional<FileOwner> owner = {});
  ~Unpacker();

  // Takes a piece of the archive; fails once the files cannot be made.
  Status Take(std::span<const std::byte> bytes);
  // After the last piece: waits until all is there. With a failure instead of an end, only waits.
  Status Finish(Status end);
  // After Finish: the paths of `elsewhere` that the archive had.
  const std::set<std::string>& found() const { return found_; }

 private:
  Status Unpack();
  // Whether the entry goes elsewhere: then it is given that path.
  Result<bool> Divert(archive_entry* entry, archive* links);

  const std::string directory_;
  const Archive archive_;
  const ElsewhereByPath elsewhere_;
  const std::optional<FileOwner> owner_;
  ByteQueue queue_;
  std::set<std::string> found_;
  Status unpacked_;  // of the thread, once it has ended
  std::thread thread_;
};

// Makes all that is in the directory durable, and itself.
Status SyncTree(const std::string& directory);

}  // namespace velafs::cli
