// The files of an archive as the verb export makes it, made anew on this machine.
#pragma once

#include <string>
#include <thread>

#include "velafs/base/byte_queue.h"
#include "velafs/base/status.h"
#include "velafs/base/streams.h"

namespace velafs::cli {

// Makes everything below `directory`, which must be there, be empty, and be the process's working
// directory; modes, times, links and holes as in the archive, owners too when root. One thread
// calls; it starts another.
class Unpacker {
 public:
  explicit Unpacker(std::string directory);
  ~Unpacker();

  // Takes a piece of the archive; fails once the files cannot be made.
  Status Take(std::span<const std::byte> bytes);
  // After the last piece: waits until all is there and makes it durable. With a failure instead of
  // an end, only waits.
  Status Finish(Status end);

 private:
  Status Unpack();

  const std::string directory_;
  ByteQueue queue_;
  Status unpacked_;  // of the thread, once it has ended
  std::thread thread_;
};

}  // namespace velafs::cli
