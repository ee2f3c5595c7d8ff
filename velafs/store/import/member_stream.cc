#include "velafs/store/import/member_stream.h"

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace velafs::store {
namespace {

constexpr char kMemberRecord = 'M';
constexpr char kBlockRecord = 'B';
constexpr char kFailureRecord = 'F';
constexpr char kEndRecord = 'E';

std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

bool IsKind(char kind) { return std::string_view("fdshp").find(kind) != std::string_view::npos; }

constexpr size_t kBufferBytes = 256 * 1024;

Status Malformed() { return Failed("the input is not a stream of an archive's members"); }

}  // namespace

Status MemberWriter::PutRecord(RecordHeader header, std::span<const std::byte> first,
                               std::span<const std::byte> second) {
  if (!has_begun_) VELAFS_TRY(Append(BytesOf(kMemberStreamBegin)));
  has_begun_ = true;
  header.first_bytes = static_cast<uint32_t>(first.size());
  header.second_bytes = static_cast<uint32_t>(second.size());
  VELAFS_TRY(Append(std::as_bytes(std::span(&header, 1))));
  VELAFS_TRY(Append(first));
  return Append(second);
}

Status MemberWriter::Append(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) VELAFS_TRY(Flush());
  if (bytes.size() > kBufferBytes) return out_(bytes);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return {};
}

Status MemberWriter::Flush() {
  Status written = buffer_.empty() ? Status() : out_(buffer_);
  buffer_.clear();
  return written;
}

Status MemberWriter::Put(const Member& member) {
  if (member.path.size() > kMaxMemberTextBytes || member.target.size() > kMaxMemberTextBytes) {
    return Failed("it has a path of more than 64 KiB");
  }
  RecordHeader header;
  header.type = kMemberRecord;
  header.kind = static_cast<char>(member.kind);
  header.mode = member.mode;
  header.uid = member.uid;
  header.gid = member.gid;
  header.mtime = member.mtime;
  header.place = member.size_bytes;
  return PutRecord(header, BytesOf(member.path), BytesOf(member.target));
}

Status MemberWriter::PutBlock(const Block& block) {
  for (size_t at = 0; at < block.bytes.size(); at += kMaxBlockBytes) {
    RecordHeader header;
    header.type = kBlockRecord;
    header.place = block.offset_bytes + at;
    VELAFS_TRY(PutRecord(
        header, block.bytes.subspan(at, std::min(kMaxBlockBytes, block.bytes.size() - at)), {}));
  }
  return {};
}

Status MemberWriter::End(const Status& read) {
  RecordHeader header;
  header.type = read.ok() ? kEndRecord : kFailureRecord;
  if (read.ok()) {
    VELAFS_TRY(PutRecord(header, {}, {}));
    return Flush();
  }
  header.kind = static_cast<char>(read.code());
  header.mode = static_cast<uint32_t>(read.error_number());
  const std::string message = read.message().substr(0, kMaxMemberTextBytes);
  VELAFS_TRY(PutRecord(header, BytesOf(message), BytesOf(read.hint())));
  return Flush();
}

MemberReader::MemberReader(const ReadFn& in)
    : in_(in), buffer_(kBufferBytes), block_(kMaxBlockBytes) {}

Result<std::optional<Member>> MemberReader::Next() {
  for (;;) {
    VELAFS_ASSIGN(const std::optional<Block> rest, NextBlock());
    if (!rest) break;
  }
  if (record_->type == kEndRecord) return std::optional<Member>();
  if (record_->type == kFailureRecord) return Failure();
  return TakeMember();
}

Result<std::optional<Block>> MemberReader::NextBlock() {
  VELAFS_TRY(ReadRecord());
  if (record_->type != kBlockRecord) return std::optional<Block>();
  VELAFS_TRY(CheckBlock());
  const Block block{record_->place, std::span(block_).first(record_->first_bytes)};
  VELAFS_TRY(ReadAll(std::span(block_).first(record_->first_bytes)));
  content_begin_ = block.offset_bytes + block.bytes.size();
  record_.reset();
  return std::optional<Block>(block);
}

Status MemberReader::ReadRecord() {
  if (record_) return {};
  if (!has_begun_) {
    std::string begin(sizeof kMemberStreamBegin - 1, '\0');
    VELAFS_TRY(ReadAll(std::as_writable_bytes(std::span(begin))));
    if (begin != kMemberStreamBegin) return Malformed();
    has_begun_ = true;
  }
  RecordHeader header;
  VELAFS_TRY(ReadAll(std::as_writable_bytes(std::span(&header, 1))));
  const bool is_known = header.type == kMemberRecord || header.type == kBlockRecord ||
                        header.type == kFailureRecord || header.type == kEndRecord;
  if (!is_known || header.zero != 0) return Malformed();
  record_ = header;
  return {};
}

Status MemberReader::CheckBlock() const {
  const RecordHeader& block = *record_;
  const bool fits = block.place >= content_begin_ && block.place <= content_end_ &&
                    block.first_bytes <= content_end_ - block.place;
  const bool has_size = block.first_bytes > 0 && block.first_bytes <= kMaxBlockBytes;
  return fits && has_size && block.second_bytes == 0 ? Status() : Malformed();
}

Result<std::optional<Member>> MemberReader::TakeMember() {
  if (!IsKind(record_->kind)) return Malformed();
  Member member;
  member.kind = static_cast<Member::Kind>(record_->kind);
  member.mode = record_->mode;
  member.uid = record_->uid;
  member.gid = record_->gid;
  member.mtime = record_->mtime;
  member.size_bytes = member.kind == Member::Kind::kFile ? record_->place : 0;
  VELAFS_ASSIGN(member.path, ReadText(record_->first_bytes));
  VELAFS_ASSIGN(member.target, ReadText(record_->second_bytes));
  content_begin_ = 0;
  content_end_ = member.size_bytes;
  record_.reset();
  return std::optional<Member>(std::move(member));
}

Status MemberReader::Failure() {
  const auto code = static_cast<Code>(record_->kind);
  const int error_number = static_cast<int>(record_->mode);
  VELAFS_ASSIGN(std::string message, ReadText(record_->first_bytes));
  VELAFS_ASSIGN(std::string hint, ReadText(record_->second_bytes));
  if (code == Code::kRefused) return Refused(std::move(message), std::move(hint));
  return Status(Code::kFailed, error_number > 0 ? error_number : EIO, std::move(message),
                std::move(hint));
}

Result<std::string> MemberReader::ReadText(uint32_t length) {
  if (length > kMaxMemberTextBytes) return Malformed();
  std::string text(length, '\0');
  VELAFS_TRY(ReadAll(std::as_writable_bytes(std::span(text))));
  return text;
}

Status MemberReader::ReadAll(std::span<std::byte> into) {
  while (!into.empty()) {
    if (buffered_.empty()) {
      VELAFS_ASSIGN(const size_t got, in_(buffer_));
      if (got == 0) return Failed("the archive's members ended too early");
      buffered_ = std::span(buffer_).first(got);
    }
    const size_t taken = std::min(into.size(), buffered_.size());
    std::ranges::copy(buffered_.first(taken), into.begin());
    into = into.subspan(taken);
    buffered_ = buffered_.subspan(taken);
  }
  return {};
}

}  // namespace velafs::store
