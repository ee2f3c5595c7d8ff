// The model's changes of contents.
#include <algorithm>

#include "tests/layer/model.h"

namespace velafs::layer {

void Model::Write(const std::string& branch) {
  const auto picked = PickFile(branch);
  if (!picked) return;
  std::string content = picked->file->content;
  const size_t at = Position(std::min(content.size() + 20'000, max_file_bytes_));
  const size_t length = 1 + Position(Pick(4) == 0 ? max_file_bytes_ / 3 : 3 * kPageBytes);
  const std::string data = RandomText(length);
  if (content.size() < at + data.size()) content.resize(at + data.size());
  content.replace(at, data.size(), data);
  ContentChanged(picked->open->Write(picked->ino, at, BytesOf(data)), branch, *picked->file,
                 std::move(content));
}

void Model::Truncate(const std::string& branch) {
  const auto picked = PickFile(branch);
  if (!picked) return;
  std::string content = picked->file->content;
  const size_t size =
      Pick(5) == 0 ? 0 : Position(std::min(content.size() + 9'000, max_file_bytes_));
  content.resize(size);
  ContentChanged(picked->open->Set(picked->ino, {.size_bytes = size}).status(), branch,
                 *picked->file, std::move(content));
}

void Model::Allocate(const std::string& branch) {
  const auto picked = PickFile(branch);
  if (!picked) return;
  std::string content = picked->file->content;
  const size_t at = Position(max_file_bytes_);
  const size_t length = 1 + Position(max_file_bytes_ / 10);
  const bool keep_size = Pick(2) == 0;
  if (!keep_size && content.size() < at + length) content.resize(at + length);
  ContentChanged(picked->open->Allocate(picked->ino, {at, length}, keep_size), branch,
                 *picked->file, std::move(content));
}

void Model::Zero(const std::string& branch) {
  const auto picked = PickFile(branch);
  if (!picked) return;
  std::string content = picked->file->content;
  const size_t at = Position(std::min(content.size() + 9'000, max_file_bytes_));
  const size_t length = 1 + Position(max_file_bytes_ / 6);
  const bool keep_size = Pick(2) == 0;
  if (!keep_size && content.size() < at + length) content.resize(at + length);
  const size_t end = std::min(content.size(), at + length);
  if (at < end) content.replace(at, end - at, end - at, '\0');
  ContentChanged(picked->open->Zero(picked->ino, {at, length}, keep_size), branch, *picked->file,
                 std::move(content));
}

// Of a file, or of a directory with its names.
void Model::Sync(const std::string& branch) {
  const auto path = PickPath(branch, [](const TreeEntry&) { return true; });
  if (!path) return;
  const TreeEntry& entry = TreeOf(branch).At(*path);
  Branch* const open = Open(branch);
  if (open == nullptr) return;
  const auto kind = Pick(2) == 0 ? os::SyncKind::kData : os::SyncKind::kFull;
  if (const Status synced = open->Sync(entry.ino, kind); !synced.ok()) return Failed(synced);
  if (kept_.contains(branch)) return;
  if (entry.IsFile()) {
    File& file = files_[branch][entry.ino];
    file.since_sync = {file.content};
  }
  const auto changed = changed_at_.find({branch, entry.ino});
  if (changed != changed_at_.end()) durable_from_ = std::max(durable_from_, changed->second);
}

}  // namespace velafs::layer
