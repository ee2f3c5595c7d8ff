// Content of an import that comes as a stream, stored by several threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/store/chunk_sink.h"
#include "velafs/store/import/member_stream.h"

namespace velafs::store {

// One thread calls; it starts others. Memory stays bounded: who gives content faster than it is
// stored waits.
class StreamContent {
 public:
  // The sink is borrowed.
  explicit StreamContent(ChunkSink& sink);
  ~StreamContent();  // content not stored by then is dropped

  // A file of that size follows; the one before has had all its content.
  Status BeginFile(InodeNumber ino, uint64_t size_bytes);
  // In order, within the file's size. Gaps are zeros. Fails once something could not be stored.
  Status Put(const Block& block);
  // All is in the sink on return.
  Status Finish();

 private:
  // Up to kPartBytes of a file. The last thread to release it writes its manifest: the calling
  // thread, or one that stores.
  struct Part {
    InodeNumber ino;
    uint64_t number = 0;
    std::vector<ChunkId> ids;  // zeros until its pieces are stored
    std::atomic<size_t> users = 1;
  };
  struct Piece {
    std::shared_ptr<Part> part;
    uint64_t offset_bytes = 0;  // in the file
    std::vector<std::byte> bytes;
  };

  Status EndFile();
  Status OpenPart(uint64_t number);  // ends those before
  Status LetGo(Part& part);
  Status SendPiece();
  void Work();
  Status Store(const Piece& piece);
  void Fail(Status status);
  Status failure();

  ChunkSink& sink_;
  // Of the thread that calls.
  InodeNumber ino_;
  uint64_t size_bytes_ = 0;
  uint64_t parts_begun_ = 0;
  std::shared_ptr<Part> part_;
  std::optional<Piece> piece_;  // what is being filled

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<Piece> pieces_;
  bool is_finished_ = false;
  Status failure_;  // the first one
  std::vector<std::thread> threads_;
};

}  // namespace velafs::store
