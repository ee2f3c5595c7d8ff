#include "tests/os/volatile_storage.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

namespace velafs::test {
namespace {

constexpr size_t kSectorBytes = 512;

void WriteInto(std::string& content, uint64_t offset_bytes, std::string_view data) {
  if (content.size() < offset_bytes + data.size()) content.resize(offset_bytes + data.size());
  content.replace(offset_bytes, data.size(), data);
}

std::string_view TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

struct VolatileStorage::Node {
  // A change of a file's content that is not durable. Without data: a new size.
  struct Write {
    uint64_t offset_bytes = 0;
    std::string data;
    std::optional<uint64_t> size_bytes = {};
  };
  // A change of a directory's entries that is not durable. Without a node: the name goes.
  struct Entry {
    std::string name;
    NodePtr node;
    uint64_t group;
  };

  bool is_directory = false;
  TimeNs atime = 0;
  TimeNs mtime = 0;

  std::string content;
  std::string durable_content;
  std::vector<Write> writes;

  std::map<std::string, NodePtr> entries;
  std::map<std::string, NodePtr> durable_entries;
  std::vector<Entry> entry_changes;
};

struct VolatileStorage::Place {
  NodePtr directory;
  std::string name;
  NodePtr node;  // null when there is nothing of that name
};

class VolatileStorage::OpenFile : public os::File {
 public:
  OpenFile(VolatileStorage& storage, NodePtr node, std::string path)
      : storage_(storage), node_(std::move(node)), path_(std::move(path)), life_(storage.life_) {}

  Result<size_t> Read(uint64_t offset_bytes, std::span<std::byte> into) override {
    const std::lock_guard lock(storage_.mutex_);
    VELAFS_TRY(CheckAlive());
    const std::string& content = node_->content;
    if (offset_bytes >= content.size()) return size_t{0};
    const size_t length = std::min<size_t>(into.size(), content.size() - offset_bytes);
    std::memcpy(into.data(), content.data() + offset_bytes, length);
    return length;
  }

  Status Write(uint64_t offset_bytes, std::span<const std::byte> data) override {
    const std::lock_guard lock(storage_.mutex_);
    bool in_part = false;
    const Status status = BeginChange(&in_part);
    if (!status.ok() && !in_part) return status;
    if (in_part) data = data.first(storage_.random_() % data.size() / kSectorBytes * kSectorBytes);
    if (!data.empty()) {
      WriteInto(node_->content, offset_bytes, TextOf(data));
      node_->writes.push_back({offset_bytes, std::string(TextOf(data))});
    }
    node_->mtime = NowNs();
    return status;
  }

  Status Truncate(uint64_t size_bytes) override {
    const std::lock_guard lock(storage_.mutex_);
    bool in_part = false;
    const Status status = BeginChange(&in_part);
    if (!status.ok() && !in_part) return status;
    Resize(size_bytes);
    return status;
  }

  Status Allocate(ByteRange range, bool keep_size) override {
    const std::lock_guard lock(storage_.mutex_);
    bool in_part = false;
    Status status = BeginChange(&in_part);
    if (!status.ok() && !in_part) return status;
    // ext4 lets the file grow as far as it came.
    const uint64_t end = range.offset_bytes + range.length_bytes / (in_part ? 2 : 1);
    if (!keep_size && end > node_->content.size()) Resize(end);
    return status;
  }

  Status PunchHole(ByteRange range) override {
    const std::lock_guard lock(storage_.mutex_);
    VELAFS_TRY(BeginChange(nullptr));
    range = range.Before(node_->content.size());
    if (range.length_bytes == 0) return {};
    node_->writes.push_back({range.offset_bytes, std::string(range.length_bytes, '\0')});
    WriteInto(node_->content, range.offset_bytes, node_->writes.back().data);
    return {};
  }

  // Every byte is data.
  Result<uint64_t> SeekData(uint64_t offset_bytes) override {
    const std::lock_guard lock(storage_.mutex_);
    VELAFS_TRY(CheckAlive());
    const uint64_t found = FirstBlock(offset_bytes, /*is_data=*/true);
    if (found >= node_->content.size()) return Errno(ENXIO);
    return found;
  }
  Result<uint64_t> SeekHole(uint64_t offset_bytes) override {
    const std::lock_guard lock(storage_.mutex_);
    VELAFS_TRY(CheckAlive());
    if (offset_bytes >= node_->content.size()) return Errno(ENXIO);
    return FirstBlock(offset_bytes, /*is_data=*/false);
  }

  Status Sync(os::SyncKind) override {
    const std::lock_guard lock(storage_.mutex_);
    bool in_part = false;
    const Status status = BeginChange(&in_part);
    if (!status.ok() && !in_part) return status;
    if (storage_.lie_ == Lie::kFileSyncs) return status;
    node_->durable_content = node_->content;
    node_->writes.clear();
    return status;
  }

  Result<os::FileInfo> Stat() override {
    const std::lock_guard lock(storage_.mutex_);
    VELAFS_TRY(CheckAlive());
    return os::FileInfo{.is_directory = false,
                        .size_bytes = node_->content.size(),
                        .allocated_bytes = node_->content.size(),
                        .atime = node_->atime,
                        .mtime = node_->mtime,
                        .ctime = node_->mtime};
  }

  Status SetTimes(TimeNs atime, TimeNs mtime) override {
    const std::lock_guard lock(storage_.mutex_);
    VELAFS_TRY(BeginChange(nullptr));
    node_->atime = atime;
    node_->mtime = mtime;
    return {};
  }

 private:
  // The first byte of a block of data, or of a hole, from the offset on; blocks of zeros are holes.
  uint64_t FirstBlock(uint64_t offset_bytes, bool is_data) const {
    constexpr uint64_t kBlockBytes = 4096;
    const std::string_view content = node_->content;
    for (uint64_t at = offset_bytes; at < content.size();
         at = (at / kBlockBytes + 1) * kBlockBytes) {
      const auto block = content.substr(at / kBlockBytes * kBlockBytes, kBlockBytes);
      const bool has_data = block.find_first_not_of('\0') != std::string_view::npos;
      if (has_data == is_data) return at;
    }
    return content.size();
  }
  Status CheckAlive() const {
    VELAFS_TRY(storage_.CheckPower(path_));
    return life_ == storage_.life_ ? Status() : SystemError(EIO, "a dead file");
  }
  Status BeginChange(bool* happens_in_part) {
    VELAFS_TRY(CheckAlive());
    return storage_.Change(path_, happens_in_part);
  }
  void Resize(uint64_t size_bytes) {
    node_->content.resize(size_bytes);
    node_->writes.push_back({0, {}, size_bytes});
    node_->mtime = NowNs();
  }

  VolatileStorage& storage_;
  const NodePtr node_;
  const std::string path_;
  const uint64_t life_;
};

VolatileStorage::VolatileStorage(unsigned seed) : random_(seed), root_(std::make_shared<Node>()) {
  root_->is_directory = true;
}

VolatileStorage::~VolatileStorage() = default;

uint64_t VolatileStorage::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

void VolatileStorage::CutAfter(uint64_t changes) {
  const std::lock_guard lock(mutex_);
  cut_at_ = changes_ + changes;
}

bool VolatileStorage::is_off() const {
  const std::lock_guard lock(mutex_);
  return is_off_;
}

void VolatileStorage::CutOff() {
  const std::lock_guard lock(mutex_);
  is_off_ = true;
}

void VolatileStorage::Restart() {
  const std::lock_guard lock(mutex_);
  ++life_;
  is_off_ = false;
  cut_at_.reset();
  fail_at_.reset();
}

void VolatileStorage::FailAfter(uint64_t changes, int error_number) {
  const std::lock_guard lock(mutex_);
  fail_at_ = changes_ + changes;
  fail_with_ = error_number;
}

bool VolatileStorage::CancelFailure() {
  const std::lock_guard lock(mutex_);
  const bool was_due = fail_at_.has_value();
  fail_at_.reset();
  return was_due;
}

void VolatileStorage::set_lie(Lie lie) {
  const std::lock_guard lock(mutex_);
  lie_ = lie;
}

bool VolatileStorage::Toss() { return random_() % 2 == 0; }

Status VolatileStorage::CheckPower(const std::string& path) const {
  return is_off_ ? SystemError(EIO, "no power for \"" + path + "\"") : Status();
}

Status VolatileStorage::Change(const std::string& path, bool* happens_in_part) {
  VELAFS_TRY(CheckPower(path));
  const uint64_t number = changes_++;
  const bool in_part = happens_in_part != nullptr && Toss();
  if (happens_in_part != nullptr) *happens_in_part = false;
  if (cut_at_ && number >= *cut_at_) {
    if (happens_in_part != nullptr) *happens_in_part = in_part;
    is_off_ = true;
    cut_at_.reset();
    fail_at_.reset();
    return CheckPower(path);
  }
  if (fail_at_ && number >= *fail_at_) {
    if (happens_in_part != nullptr) *happens_in_part = in_part;
    fail_at_.reset();
    return SystemError(fail_with_, "injected for \"" + path + "\"");
  }
  return {};
}

void VolatileStorage::PowerOn(std::optional<unsigned> loss_percent) {
  const std::lock_guard lock(mutex_);
  constexpr unsigned kLossPercent[] = {0, 10, 50, 90, 100};
  loss_percent_ = loss_percent.value_or(kLossPercent[random_() % std::size(kLossPercent)]);
  group_salt_ = random_();
  Settle(*root_);
  Restart();
}

// What is left of the node becomes what it is, durably.
void VolatileStorage::Settle(Node& node) {
  node.content = Survivor(node);
  node.durable_content = node.content;
  node.writes.clear();
  for (const Node::Entry& change : node.entry_changes) {
    // The same verdict for every change of one group.
    if (std::mt19937(static_cast<unsigned>(change.group * 7919 + group_salt_))() % 100 <
        loss_percent_) {
      continue;
    }
    if (change.node) {
      node.durable_entries[change.name] = change.node;
    } else {
      node.durable_entries.erase(change.name);
    }
  }
  node.entry_changes.clear();
  node.entries = node.durable_entries;
  for (const auto& [name, child] : node.entries) Settle(*child);
}

std::string VolatileStorage::Survivor(const Node& file) {
  const auto is_lost = [this] { return random_() % 100 < loss_percent_; };
  std::string content = file.durable_content;
  for (const Node::Write& write : file.writes) {
    if (write.size_bytes) {
      if (!is_lost()) content.resize(*write.size_bytes);
      continue;
    }
    for (size_t at = 0; at < write.data.size();) {
      const uint64_t offset = write.offset_bytes + at;
      const size_t length =
          std::min<size_t>(kSectorBytes - offset % kSectorBytes, write.data.size() - at);
      if (!is_lost()) WriteInto(content, offset, std::string_view(write.data).substr(at, length));
      at += length;
    }
  }
  return content;
}

Result<VolatileStorage::Place> VolatileStorage::Find(const std::string& path) {
  VELAFS_TRY(CheckPower(path));
  Place place{.directory = nullptr, .name = {}, .node = root_};
  for (size_t at = 0; at < path.size();) {
    const size_t begin = path.find_first_not_of('/', at);
    if (begin == std::string::npos) break;
    const size_t end = std::min(path.find('/', begin), path.size());
    if (!place.node) return SystemError(ENOENT, "no directory on the way to \"" + path + "\"");
    if (!place.node->is_directory) return SystemError(ENOTDIR, "\"" + path + "\"");
    place.directory = place.node;
    place.name = path.substr(begin, end - begin);
    const auto found = place.directory->entries.find(place.name);
    place.node = found == place.directory->entries.end() ? nullptr : found->second;
    at = end;
  }
  return place;
}

Result<VolatileStorage::NodePtr> VolatileStorage::FindNode(const std::string& path) {
  VELAFS_ASSIGN(Place place, Find(path));
  if (!place.node) return SystemError(ENOENT, "\"" + path + "\"");
  return std::move(place.node);
}

void VolatileStorage::SetEntry(Node& directory, const std::string& name, NodePtr node,
                               uint64_t group) {
  if (node) {
    directory.entries[name] = node;
  } else {
    directory.entries.erase(name);
  }
  directory.entry_changes.push_back({name, std::move(node), group});
}

Result<std::unique_ptr<os::File>> VolatileStorage::Open(const std::string& path,
                                                        os::OpenMode mode) {
  const std::lock_guard lock(mutex_);
  VELAFS_ASSIGN(Place place, Find(path));
  const bool may_make = mode == os::OpenMode::kCreate || mode == os::OpenMode::kCreateNew;
  if (place.node && mode == os::OpenMode::kCreateNew)
    return SystemError(EEXIST, "\"" + path + "\"");
  if (!place.node && !may_make) return SystemError(ENOENT, "\"" + path + "\"");
  if (!place.node) {
    VELAFS_TRY(Change(path, nullptr));
    place.node = std::make_shared<Node>();
    SetEntry(*place.directory, place.name, place.node, next_group_++);
  }
  if (place.node->is_directory) return SystemError(EISDIR, "\"" + path + "\"");
  return std::unique_ptr<os::File>(std::make_unique<OpenFile>(*this, place.node, path));
}

void VolatileStorage::MakeDurableDirectories(const std::string& path) {
  const std::lock_guard lock(mutex_);
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const auto place = Find(path.substr(0, end));
    VELAFS_CHECK(place.ok());
    if (!place->node) {
      auto made = std::make_shared<Node>();
      made->is_directory = true;
      place->directory->entries[place->name] = made;
      place->directory->durable_entries[place->name] = made;
    }
    if (end == std::string::npos) return;
  }
}

Status VolatileStorage::MakeDirectory(const std::string& path, uint32_t) {
  const std::lock_guard lock(mutex_);
  VELAFS_ASSIGN(const Place place, Find(path));
  if (place.node) return SystemError(EEXIST, "\"" + path + "\"");
  VELAFS_TRY(Change(path, nullptr));
  auto made = std::make_shared<Node>();
  made->is_directory = true;
  SetEntry(*place.directory, place.name, std::move(made), next_group_++);
  return {};
}

Status VolatileStorage::RemoveFile(const std::string& path) {
  const std::lock_guard lock(mutex_);
  VELAFS_ASSIGN(const Place place, Find(path));
  if (!place.node) return SystemError(ENOENT, "\"" + path + "\"");
  if (place.node->is_directory) return SystemError(EISDIR, "\"" + path + "\"");
  VELAFS_TRY(Change(path, nullptr));
  SetEntry(*place.directory, place.name, nullptr, next_group_++);
  return {};
}

Status VolatileStorage::RemoveTree(const std::string& path) {
  const std::lock_guard lock(mutex_);
  VELAFS_ASSIGN(const Place place, Find(path));
  if (!place.node) return {};
  const std::map<std::string, NodePtr> inside = place.node->entries;
  for (const auto& [name, child] : inside) {
    const std::string child_path = path + "/" + name;
    VELAFS_TRY(child->is_directory ? RemoveTree(child_path) : RemoveFile(child_path));
  }
  VELAFS_TRY(Change(path, nullptr));
  SetEntry(*place.directory, place.name, nullptr, next_group_++);
  return {};
}

Status VolatileStorage::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  VELAFS_ASSIGN(const Place source, Find(from));
  VELAFS_ASSIGN(const Place target, Find(to));
  if (!source.node) return SystemError(ENOENT, "\"" + from + "\"");
  VELAFS_TRY(Change(from, nullptr));
  const uint64_t group = next_group_++;
  SetEntry(*source.directory, source.name, nullptr, group);
  SetEntry(*target.directory, target.name, source.node, group);
  return {};
}

Result<std::vector<os::DirectoryEntry>> VolatileStorage::List(const std::string& path) {
  const std::lock_guard lock(mutex_);
  VELAFS_ASSIGN(const NodePtr directory, FindNode(path));
  if (!directory->is_directory) return SystemError(ENOTDIR, "\"" + path + "\"");
  std::vector<os::DirectoryEntry> entries;
  for (const auto& [name, node] : directory->entries) entries.push_back({name, node->is_directory});
  return entries;
}

Result<os::FileInfo> VolatileStorage::Stat(const std::string& path) {
  const std::lock_guard lock(mutex_);
  VELAFS_ASSIGN(const NodePtr node, FindNode(path));
  os::FileInfo info;
  info.is_directory = node->is_directory;
  info.size_bytes = info.allocated_bytes = node->content.size();
  info.atime = node->atime;
  info.mtime = info.ctime = node->mtime;
  return info;
}

Status VolatileStorage::SyncDirectory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  VELAFS_ASSIGN(const NodePtr directory, FindNode(path));
  bool in_part = false;
  const Status status = Change(path, &in_part);
  if (!status.ok() && !in_part) return status;
  if (lie_ == Lie::kDirectorySyncs) return status;
  directory->durable_entries = directory->entries;
  directory->entry_changes.clear();
  return status;
}

Result<os::SpaceInfo> VolatileStorage::Space(const std::string& path) {
  const std::lock_guard lock(mutex_);
  VELAFS_TRY(CheckPower(path));
  constexpr uint64_t kPlenty = uint64_t{1} << 30;
  return os::SpaceInfo{.block_bytes = 4096,
                       .total_blocks = kPlenty,
                       .free_blocks = kPlenty,
                       .available_blocks = kPlenty,
                       .total_files = kPlenty,
                       .free_files = kPlenty};
}

}  // namespace velafs::test
