#include "velafs/store/import/stream_content.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace velafs::store {
namespace {

constexpr uint64_t kPieceBytes = 16 * kChunkBytes;
static_assert(catalog::kPartBytes % kPieceBytes == 0);
constexpr size_t kPiecesWaiting = 16;

}  // namespace

StreamContent::StreamContent(ChunkSink& sink) : sink_(sink) {
  try {
    for (unsigned i = ThreadsToStore(); i > 0; --i) threads_.emplace_back([this] { Work(); });
  } catch (const std::system_error&) {
    // Those there are have to do.
    if (threads_.empty()) Fail(SystemError(EAGAIN, "cannot start a thread"));
  }
}

StreamContent::~StreamContent() {
  Fail(Failed("cancelled"));
  for (std::thread& thread : threads_) thread.join();
}

Status StreamContent::BeginFile(InodeNumber ino, uint64_t size_bytes) {
  VELAFS_TRY(EndFile());
  ino_ = ino;
  size_bytes_ = size_bytes;
  parts_begun_ = 0;
  return {};
}

Status StreamContent::Put(const Block& block) {
  uint64_t at = block.offset_bytes;
  std::span<const std::byte> bytes = block.bytes;
  while (!bytes.empty()) {
    const uint64_t begin = at - at % kPieceBytes;
    if (piece_ && piece_->offset_bytes != begin) VELAFS_TRY(SendPiece());
    if (!piece_) {
      VELAFS_TRY(OpenPart(at / catalog::kPartBytes));
      const size_t size = std::min(kPieceBytes, size_bytes_ - begin);
      piece_ = Piece{part_, begin, std::vector<std::byte>(size)};
    }
    const std::span<std::byte> rest = std::span(piece_->bytes).subspan(at - begin);
    const size_t taken = std::min(bytes.size(), rest.size());
    std::ranges::copy(bytes.first(taken), rest.begin());
    bytes = bytes.subspan(taken);
    at += taken;
  }
  return {};
}

Status StreamContent::Finish() {
  VELAFS_TRY(EndFile());
  {
    std::lock_guard lock(mutex_);
    is_finished_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  return failure();
}

Status StreamContent::EndFile() {
  if (piece_) VELAFS_TRY(SendPiece());
  const uint64_t parts = (size_bytes_ + catalog::kPartBytes - 1) / catalog::kPartBytes;
  if (parts_begun_ < parts) VELAFS_TRY(OpenPart(parts - 1));
  const std::shared_ptr<Part> last = std::exchange(part_, nullptr);
  size_bytes_ = 0;
  parts_begun_ = 0;
  return last ? LetGo(*last) : Status();
}

Status StreamContent::OpenPart(uint64_t number) {
  while (parts_begun_ <= number) {
    if (part_) VELAFS_TRY(LetGo(*part_));
    part_ = std::make_shared<Part>();
    part_->ino = ino_;
    part_->number = parts_begun_++;
  }
  if (part_->ids.empty()) {
    const uint64_t begin = number * catalog::kPartBytes;
    const uint64_t size = std::min(catalog::kPartBytes, size_bytes_ - begin);
    part_->ids.resize((size + kChunkBytes - 1) / kChunkBytes);
  }
  return {};
}

Status StreamContent::LetGo(Part& part) {
  if (--part.users > 0) return {};
  if (std::ranges::all_of(part.ids, [](const ChunkId& id) { return id.IsZeros(); })) {
    part.ids.clear();
  }
  return sink_.PutManifest(part.ino, part.number, {std::move(part.ids), {}});
}

Status StreamContent::SendPiece() {
  ++piece_->part->users;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return pieces_.size() < kPiecesWaiting || !failure_.ok(); });
    if (!failure_.ok()) return failure_;
    pieces_.push_back(*std::exchange(piece_, {}));
  }
  changed_.notify_all();
  return {};
}

void StreamContent::Work() {
  for (;;) {
    Piece piece;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !pieces_.empty() || is_finished_ || !failure_.ok(); });
      if (!failure_.ok() || pieces_.empty()) return;
      piece = std::move(pieces_.front());
      pieces_.pop_front();
    }
    changed_.notify_all();
    if (Status stored = Store(piece); !stored.ok()) Fail(std::move(stored));
  }
}

Status StreamContent::Store(const Piece& piece) {
  std::vector<ChunkId> ids;
  VELAFS_TRY(sink_.Store(piece.bytes, &ids));
  const uint64_t first = piece.offset_bytes % catalog::kPartBytes / kChunkBytes;
  std::ranges::copy(ids, piece.part->ids.begin() + static_cast<std::ptrdiff_t>(first));
  return LetGo(*piece.part);
}

void StreamContent::Fail(Status status) {
  {
    std::lock_guard lock(mutex_);
    if (failure_.ok()) failure_ = std::move(status);
  }
  changed_.notify_all();
}

Status StreamContent::failure() {
  std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace velafs::store
