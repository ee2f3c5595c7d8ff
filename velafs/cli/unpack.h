// The files of an archive, made anew on this machine.
#pragma once

#include <string>
#include <thread>

#include "velafs/base/byte_queue.h"
#include "velafs/base/status.h"
#include "velafs/base/streams.h"

namespace velafs::cli {

// Whose an archive is. In one of somebody else's, in any of the usual compressions, only files,
// directories and links are taken, and no link that leads out of it.
enum class Archive { kOurs, kForeign };

// Makes everything below `directory`, which must be there, be empty, and be the process's working
// directory; modes, times, links and holes as in the archive, owners too when root. Never makes
// anything outside of it. One thread calls; it starts another.
class Unpacker {
 public:
  Unpacker(std::string directory, Archive archive);
  ~Unpacker();

  // Takes a piece of the archive; fails once the files cannot be made.
  Status Take(std::span<const std::byte> bytes);
  // After the last piece: waits until all is there. With a failure instead of an end, only waits.
  Status Finish(Status end);

 private:
  Status Unpack();

  const std::string directory_;
  const Archive archive_;
  ByteQueue queue_;
  Status unpacked_;  // of the thread, once it has ended
  std::thread thread_;
};

// Makes all that is in the directory durable, and itself.
Status SyncTree(const std::string& directory);

}  // namespace velafs::cli
