#include "velafs/layer/layer.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace velafs::layer {
namespace {

constexpr std::string_view kMapSuffix = ".map";
// How much of a map gets its room before the first write: the map of a file of a terabyte.
constexpr uint64_t kAllocatedMapBytes = 16 * 1024 * 1024;
// `sealed`, or after the first time `sealed.N`: content of the layer has been sealed so many times.
constexpr std::string_view kSealedMark = "sealed";

// The inode number a page file's name spells; none when it is not one.
InodeNumber InodeOf(std::string_view name) {
  uint64_t ino = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), ino);
  return error == std::errc() && end == name.data() + name.size() ? InodeNumber(ino)
                                                                  : InodeNumber();
}

std::string MarkName(uint64_t seals) {
  const std::string mark(kSealedMark);
  return seals == 1 ? mark : mark + "." + std::to_string(seals);
}

// 0 for a name that is no mark.
uint64_t SealsOf(std::string_view name) {
  if (name == kSealedMark) return 1;
  if (!name.starts_with(kSealedMark) || name[kSealedMark.size()] != '.') return 0;
  return InodeOf(name.substr(kSealedMark.size() + 1)).value;
}

}  // namespace

Layer::Layer(const VolumeParts& parts, LayerId id)
    : parts_(parts), id_(id), directory_(LayerDirectory(parts, id)) {}

std::shared_ptr<Layer> Layer::New(const VolumeParts& parts, LayerId id) {
  return std::shared_ptr<Layer>(new Layer(parts, id));
}

Result<std::shared_ptr<Layer>> Layer::Load(const VolumeParts& parts, LayerId id, bool is_settled) {
  auto layer = New(parts, id);
  layer->is_settled_ = is_settled;
  VELAFS_TRY(layer->ReadDirectory());
  VELAFS_TRY(layer->ReadSealed());
  return layer;
}

Status Layer::ReadDirectory() {
  const auto listed = storage().List(directory_);
  if (!listed.ok()) {
    return listed.status().error_number() == ENOENT ? Status() : listed.status();
  }
  MutexLock lock(lock_);
  has_directory_ = true;
  std::vector<InodeNumber> maps;
  for (const os::DirectoryEntry& file : *listed) {
    std::string_view name = file.name;
    marked_seals_ = std::max(marked_seals_, SealsOf(name));
    const bool is_map = name.ends_with(kMapSuffix);
    if (is_map) name.remove_suffix(kMapSuffix.size());
    const InodeNumber ino = InodeOf(name);
    if (!ino) continue;
    if (is_map) {
      maps.push_back(ino);
    } else {
      entries_[ino];
    }
  }
  for (InodeNumber ino : maps) {
    if (auto found = entries_.find(ino); found != entries_.end()) {
      found->second.has_map = true;
    } else {
      stray_maps_.insert(ino);
    }
  }
  return {};
}

Status Layer::ReadSealed() {
  std::vector<catalog::Reader::SealedInode> sealed;
  std::optional<catalog::LayerRow> row;  // none: its directory is all that is left to remove
  VELAFS_TRY(parts_.catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(row, reader.FindLayer(id_));
    if (row && row->seals > 0) {
      VELAFS_ASSIGN(sealed, reader.SealedInodes(id_));
    }
    return {};
  }));
  if (!row) return {};
  MutexLock lock(lock_);
  for (const auto& inode : sealed) sealed_inodes_[inode.ino] = inode.inherited_bytes;
  seals_ = row->seals;
  if (marked_seals_ > seals_) {
    return Corrupt("layer " + std::to_string(id_.value) +
                       " was sealed, but this older catalog does not know that",
                   "the newest file of the store's copies/ may know it");
  }
  return {};
}

Status Layer::SettleOnce(const std::function<Status()>& recover) {
  MutexLock lock(recovery_lock_);
  if (is_settled_) return {};
  VELAFS_TRY(recover());
  is_settled_ = true;
  return {};
}

std::string Layer::PagePath(InodeNumber ino) const {
  return directory_ + "/" + std::to_string(ino.value);
}

std::string Layer::MapPath(InodeNumber ino) const { return PagePath(ino).append(kMapSuffix); }

Result<std::shared_ptr<PageFile>> Layer::Find(InodeNumber ino, bool inherits) {
  MutexLock lock(lock_);
  return FindLocked(ino, inherits);
}

Result<std::shared_ptr<PageFile>> Layer::FindLocked(InodeNumber ino, bool inherits) {
  const auto found = entries_.find(ino);
  if (found == entries_.end()) {
    if (is_settled_ && stray_maps_.contains(ino)) return Missing(PagePath(ino));
    return std::shared_ptr<PageFile>();
  }
  Entry& entry = found->second;
  if (auto open = entry.open.lock()) return open;
  if (inherits && !HasWrittenMap(ino)) {
    if (is_settled_) return Missing(MapPath(ino));
    return std::shared_ptr<PageFile>();
  }

  std::optional<PageMap> map;
  if (entry.has_map) {
    const std::string path = MapPath(ino);
    VELAFS_ASSIGN(const auto file, storage().Open(path, os::OpenMode::kRead));
    auto loaded = PageMap::Load(id_, ino, *file);
    if (!loaded.ok()) return std::move(loaded).status().WithContext("\"" + path + "\"");
    map = *std::move(loaded);
  }
  VELAFS_ASSIGN(auto file, storage().Open(PagePath(ino), os::OpenMode::kReadWrite));
  if (map) {
    VELAFS_ASSIGN(const os::FileInfo info, file->Stat());
    if (is_settled_ && info.size_bytes < map->inherited_bytes()) {
      return Corrupt("\"" + PagePath(ino) + "\" is shorter than its map says");
    }
    // A crash may have kept a truncation of the page file and lost that of the map.
    map->HideFrom(info.size_bytes);
  }
  auto page_file =
      std::make_shared<PageFile>(*this, ino, std::move(file), std::move(map), nullptr, false);
  entry.open = page_file;
  return page_file;
}

Status Layer::Missing(const std::string& path) const {
  return Corrupt("\"" + path + "\" is missing");
}

Result<std::shared_ptr<PageFile>> Layer::Create(InodeNumber ino, uint64_t size_bytes,
                                                std::optional<uint64_t> inherited_bytes) {
  std::shared_ptr<PageFile> page_file;
  {
    MutexLock lock(lock_);
    VELAFS_TRY(MakeDirectory());
    VELAFS_ASSIGN(auto file, storage().Open(PagePath(ino), os::OpenMode::kCreateNew));
    auto made = MakePageFile(ino, std::move(file), size_bytes, inherited_bytes);
    if (!made.ok()) {
      static_cast<void>(RemoveIfAny(PagePath(ino)));
      if (inherited_bytes) static_cast<void>(RemoveIfAny(MapPath(ino)));
      return made;
    }
    page_file = *std::move(made);
    entries_[ino] = {.has_map = inherited_bytes.has_value(), .open = page_file};
    has_changed_ = true;
  }
  page_file->MarkDirty();
  return page_file;
}

Result<std::shared_ptr<PageFile>> Layer::MakePageFile(InodeNumber ino,
                                                      std::unique_ptr<os::File> file,
                                                      uint64_t size_bytes,
                                                      std::optional<uint64_t> inherited_bytes) {
  if (size_bytes > 0) VELAFS_TRY(file->Truncate(size_bytes));
  std::optional<PageMap> map;
  std::unique_ptr<os::File> map_file;
  if (inherited_bytes) {
    map.emplace(id_, ino, *inherited_bytes);
    VELAFS_ASSIGN(map_file, MakeMapFile(ino, *inherited_bytes));
  }
  return std::make_shared<PageFile>(*this, ino, std::move(file), std::move(map),
                                    std::move(map_file), true);
}

// Empty until the first sync, so that it passes for none until then.
Result<std::unique_ptr<os::File>> Layer::MakeMapFile(InodeNumber ino, uint64_t inherited_bytes) {
  VELAFS_ASSIGN(auto file, storage().Open(MapPath(ino), os::OpenMode::kCreate));
  // A map that a crash has left without its page file says nothing of this one.
  VELAFS_TRY(file->Truncate(0));
  // Of a file of PostgreSQL's, which has a gigabyte at most, that is all of it.
  const uint64_t bytes = std::min(PageMap::MaxFileBytes(inherited_bytes), kAllocatedMapBytes);
  Status allocated = file->Allocate({0, bytes}, true);
  // Where the host cannot, and beyond those bytes, a sync may be out of space.
  if (!allocated.ok() && allocated.error_number() != EOPNOTSUPP) return allocated;
  return file;
}

Status Layer::MakeDirectory() {
  if (has_directory_) return {};
  Status made = storage().MakeDirectory(directory_, 0700);
  if (!made.ok() && made.error_number() != EEXIST) return made;
  has_directory_ = true;
  return {};
}

bool Layer::HasWrittenMap(InodeNumber ino) const {
  const auto file = storage().Open(MapPath(ino), os::OpenMode::kRead);
  if (!file.ok()) return file.status().error_number() != ENOENT;
  PageMap::Block header{};
  const auto got = (*file)->Read(0, header);
  if (!got.ok()) return true;
  return *got == header.size() && header != PageMap::Block{};
}

Status Layer::Discard(InodeNumber ino) {
  std::shared_ptr<PageFile> open;
  {
    MutexLock lock(lock_);
    if (const auto found = entries_.find(ino); found != entries_.end()) {
      open = found->second.open.lock();
    }
  }
  // Somebody may be about to sync it, and would find no file, or make a map without one.
  if (open) open->Abandon();
  std::shared_ptr<PageFile> last_use;  // freed after the lock
  MutexLock lock(lock_);
  if (auto dirty = dirty_.find(ino); dirty != dirty_.end()) {
    last_use = std::move(dirty->second.file);
    dirty_.erase(dirty);
  }
  const auto found = entries_.find(ino);
  if (found == entries_.end()) return {};
  // The files first: what the host fails to remove is known as long as it is there.
  VELAFS_TRY(RemoveIfAny(PagePath(ino)));
  if (found->second.has_map) VELAFS_TRY(RemoveIfAny(MapPath(ino)));
  entries_.erase(found);
  has_changed_ = true;
  return {};
}

Status Layer::RemoveIfAny(const std::string& path) const {
  Status removed = storage().RemoveFile(path);
  return removed.error_number() == ENOENT ? Status() : removed;
}

Status Layer::RemoveStrayMaps() {
  MutexLock lock(lock_);
  for (InodeNumber ino : stray_maps_) VELAFS_TRY(RemoveIfAny(MapPath(ino)));
  stray_maps_.clear();
  return {};
}

Result<std::optional<LayerContent>> Layer::ContentOf(InodeNumber ino, bool inherits) {
  MutexLock lock(lock_);
  std::shared_ptr<SealedFile> sealed;
  if (const auto found = sealed_inodes_.find(ino); found != sealed_inodes_.end()) {
    sealed = SealedLocked(ino, found->second);
  }
  // Beside what is sealed, a page file counts with its map only: without one it is what a crash has
  // left of one that was sealed.
  const auto entry = entries_.find(ino);
  const bool has_page_file = !sealed || (entry != entries_.end() && entry->second.has_map &&
                                         (!entry->second.open.expired() || HasWrittenMap(ino)));
  std::shared_ptr<PageFile> page_file;
  if (has_page_file) {
    VELAFS_ASSIGN(page_file, FindLocked(ino, inherits));
  }
  if (!sealed && !page_file) return std::optional<LayerContent>();
  return std::optional(LayerContent(id_, std::move(sealed), std::move(page_file)));
}

std::shared_ptr<SealedFile> Layer::Imported(InodeNumber ino) {
  MutexLock lock(lock_);
  return SealedLocked(ino, 0);
}

std::shared_ptr<SealedFile> Layer::SealedLocked(InodeNumber ino, uint64_t inherited_bytes) {
  std::weak_ptr<SealedFile>& known = sealed_[ino];
  if (auto file = known.lock()) return file;
  auto file = std::make_shared<SealedFile>(parts_.catalog, parts_.packs, id_, ino, inherited_bytes);
  known = file;
  return file;
}

bool Layer::IsSealed(InodeNumber ino) const {
  MutexLock lock(lock_);
  return sealed_inodes_.contains(ino);
}

std::set<InodeNumber> Layer::InodesWithContent() const {
  MutexLock lock(lock_);
  std::set<InodeNumber> inodes;
  for (const auto& [ino, entry] : entries_) inodes.insert(ino);
  for (const auto& [ino, inherited_bytes] : sealed_inodes_) inodes.insert(ino);
  return inodes;
}

Status Layer::MarkSealed(uint64_t seals) {
  {
    MutexLock lock(lock_);
    if (marked_seals_ >= seals) return {};
    VELAFS_TRY(MakeDirectory());
    VELAFS_TRY(storage().Open(directory_ + "/" + MarkName(seals), os::OpenMode::kCreate).status());
  }
  VELAFS_TRY(SyncNames());
  MutexLock lock(lock_);
  const uint64_t before = std::exchange(marked_seals_, seals);
  return before > 0 ? RemoveIfAny(directory_ + "/" + MarkName(before)) : Status();
}

Layer::ForgottenFiles Layer::ForgetPageFiles(
    const std::vector<catalog::Reader::SealedInode>& sealed) {
  ForgottenFiles forgotten;
  MutexLock lock(lock_);
  has_changed_ = true;
  for (const auto& inode : sealed) {
    sealed_inodes_[inode.ino] = inode.inherited_bytes;
    sealed_.erase(inode.ino);  // what was known of it may be less
    const auto found = entries_.find(inode.ino);
    if (found == entries_.end()) continue;
    forgotten[inode.ino] = found->second.open.lock();
    entries_.erase(found);
  }
  return forgotten;
}

Status Layer::RemoveSealedPageFiles() {
  uint64_t seals = 0;
  {
    MutexLock lock(lock_);
    seals = seals_;
  }
  if (HasPageFiles()) VELAFS_TRY(MarkSealed(seals));
  for (const PageFileName& file : PageFiles()) VELAFS_TRY(Discard(file.ino));
  return RemoveStrayMaps();
}

Result<uint64_t> Layer::RemoveForgotten(InodeNumber ino) {
  uint64_t bytes = 0;
  for (const std::string& path : {PagePath(ino), MapPath(ino)}) {
    const auto info = storage().Stat(path);
    if (info.ok()) bytes += info->allocated_bytes;
    VELAFS_TRY(RemoveIfAny(path));
  }
  return bytes;
}

std::vector<Layer::PageFileName> Layer::PageFiles() const {
  MutexLock lock(lock_);
  std::vector<PageFileName> names;
  names.reserve(entries_.size());
  for (const auto& [ino, entry] : entries_) names.push_back({ino, entry.has_map});
  return names;
}

bool Layer::HasPageFiles() const {
  MutexLock lock(lock_);
  return !entries_.empty();
}

bool Layer::IsOnDisk() const {
  MutexLock lock(lock_);
  return has_directory_;
}

}  // namespace velafs::layer
