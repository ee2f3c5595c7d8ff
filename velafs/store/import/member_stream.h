// The members of an archive as a stream of bytes: from the process that parses an archive, which
// may do nothing else, to the importing process. Both are of one version, on one machine.
//
// The stream begins with kMemberStreamBegin. Records follow, each a RecordHeader, in the machine's
// own byte order, and two pieces of bytes as long as it says:
//
//   'M'  a member: its path, and its link's target
//   'B'  a block of the last member's content, and nothing; zeros are between blocks
//   'F'  why the archive cannot be read: a message and a hint. It is the last one.
//   'E'  the end of the archive: nothing and nothing. It is the last one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/base/streams.h"
#include "velafs/base/units.h"

namespace velafs::store {

struct Member {
  enum class Kind : char {
    kFile = 'f',
    kDirectory = 'd',
    kSymlink = 's',
    kHardLink = 'h',
    kFifo = 'p',
  };
  Kind kind = Kind::kFile;
  std::string path;    // as the archive has it
  std::string target;  // of a symbolic link; of a hard link, the path of another member
  uint32_t mode = 0;   // permissions
  uint32_t uid = 0;
  uint32_t gid = 0;
  TimeNs mtime = 0;
  uint64_t size_bytes = 0;  // of a file
};

struct Block {
  uint64_t offset_bytes = 0;
  std::span<const std::byte> bytes;  // good until the next call
};

inline constexpr char kMemberStreamBegin[] = "velafs members 1\n";
inline constexpr size_t kMaxBlockBytes = 1024 * 1024;
inline constexpr size_t kMaxMemberTextBytes = 64 * 1024;  // of a path, a target, a message, a hint

struct RecordHeader {
  char type = 0;
  char kind = 0;  // of a member; of a failure, its Code
  uint16_t zero = 0;
  uint32_t mode = 0;  // of a failure, its errno
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime = 0;
  uint64_t place = 0;  // of a member, its size; of a block, its offset
  uint32_t first_bytes = 0;
  uint32_t second_bytes = 0;
};
static_assert(sizeof(RecordHeader) == 40);

// One thread.
class MemberWriter {
 public:
  explicit MemberWriter(WriteFn out) : out_(std::move(out)) {}

  Status Put(const Member& member);
  // Of the last member, a file: behind all blocks before. Of any length.
  Status PutBlock(const Block& block);
  // Once, at the end: the result of `read` for the archive.
  Status End(const Status& read);

 private:
  Status PutRecord(RecordHeader header, std::span<const std::byte> first,
                   std::span<const std::byte> second);
  Status Append(std::span<const std::byte> bytes);
  Status Flush();

  const WriteFn out_;
  std::vector<std::byte> buffer_;
  bool has_begun_ = false;
};

// Believes nothing: Failed when the stream has not this form, or ends too early. One thread.
class MemberReader {
 public:
  // `in` is borrowed.
  explicit MemberReader(const ReadFn& in);

  // The next member, after the rest of the last one's content; nothing at the archive's end. If the
  // archive cannot be read, that failure.
  Result<std::optional<Member>> Next();
  // The next block of the last member's content, all of it within its size; nothing at its end.
  Result<std::optional<Block>> NextBlock();

 private:
  Status ReadRecord();  // sets record_
  Result<std::optional<Member>> TakeMember();
  Status CheckBlock() const;
  Status Failure();  // the record's message
  Status ReadAll(std::span<std::byte> into);
  Result<std::string> ReadText(uint32_t length);

  const ReadFn& in_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> buffered_;  // of buffer_, not consumed yet
  std::vector<std::byte> block_;
  bool has_begun_ = false;
  std::optional<RecordHeader> record_;  // the next one, once it was read
  uint64_t content_begin_ = 0;          // where the next block may begin
  uint64_t content_end_ = 0;
};

}  // namespace velafs::store
