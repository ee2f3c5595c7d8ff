#include "velafs/layer/branch.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include "velafs/base/process_counts.h"
#include "velafs/layer/branch_inode.h"

namespace velafs::layer {

bool Branch::Inode::IsDirectory() const { return S_ISDIR(row.mode); }
bool Branch::Inode::IsFile() const { return S_ISREG(row.mode); }

IdleReferences::Reference Branch::Inode::References() const {
  return {.ino = ino,
          .lookups = lookups,
          .is_file = IsFile(),
          .parent = IsDirectory() ? parent.load() : InodeNumber()};
}

void Branch::Inode::CountNames() {
  const size_t bytes = kInodeBytes + names->size() * kNameBytes;
  loaded_bytes_ += bytes - counted_bytes_;  // may wrap: a decrease
  counted_bytes_ = bytes;
}

Branch::Branch(BranchHost& host, const catalog::BranchRow& row)
    : host_(host),
      instance_(row.instance),
      root_(row.root),
      shown_as_(row.shown_as),
      first_layer_(row.first_layer),
      is_ephemeral_(row.is_ephemeral),
      allowance_(row.quota_bytes),
      name_allowance_(row.quota_bytes),
      name_(row.name) {}

Status Branch::CheckAlive() const { return has_ended_ ? Errno(ESTALE) : Status(); }

Status Branch::CheckChangeable() const {
  VELAFS_TRY(CheckAlive());
  return is_failed_ ? Errno(EIO) : Status();
}

Status Branch::Fail(Status status) {
  if (!is_failed_.exchange(true)) ++CountsOfProcess().failed_branches;
  return std::move(status).WithContext("branch " + QuotedName() + " takes no more changes");
}

std::string Branch::name() {
  MutexLock lock(name_lock_);
  return name_;
}

std::string Branch::QuotedName() { return "\"" + name() + "\""; }

Branch::InodePtr Branch::FindKnown(InodeNumber ino) {
  MutexLock lock(inodes_lock_);
  const auto found = inodes_.find(ino);
  if (found == inodes_.end()) return nullptr;
  found->second->NoteUse(round_);
  return found->second;
}

Result<Branch::InodePtr> Branch::Find(InodeNumber ino) {
  if (InodePtr known = FindKnown(ino)) return known;
  VELAFS_ASSIGN(InodePtr loaded, Load(ino));
  host_.NoteLoaded(Inode::kInodeBytes);
  MutexLock lock(inodes_lock_);
  const auto [known, is_new] = inodes_.try_emplace(ino, std::move(loaded));
  if (!is_new) return known->second;
  known->second->last_used = round_.load();
  if (const auto references = references_.Extract(ino)) {
    known->second->lookups = references->lookups;
    known->second->parent = references->parent;
  }
  return known->second;
}

Result<Branch::InodePtr> Branch::FindFile(InodeNumber ino) {
  VELAFS_TRY(CheckAlive());
  InodePtr inode = FindKnown(ino);
  if (!inode) {
    ReaderLock names(namespace_);
    VELAFS_ASSIGN(inode, Find(ino));
  }
  if (inode->IsFile()) return inode;
  return Errno(inode->IsDirectory() ? EISDIR : EINVAL);
}

Result<Branch::InodePtr> Branch::FindDirectory(InodeNumber ino) {
  VELAFS_TRY(CheckAlive());
  VELAFS_ASSIGN(InodePtr inode, Find(ino));
  if (!inode->IsDirectory()) return Errno(ENOTDIR);
  return inode;
}

Result<Branch::InodePtr> Branch::Load(InodeNumber ino) {
  const std::function<Result<InodePtr>()> load = [this, ino]() REQUIRES_SHARED(namespace_) {
    return TryLoad(ino);
  };
  return LoadUnmoved(host_, load);
}

Result<Branch::InodePtr> Branch::TryLoad(InodeNumber ino) {
  std::optional<catalog::InodeInChain> found;
  const auto read = [&](catalog::Reader& reader) REQUIRES_SHARED(namespace_) -> Status {
    VELAFS_ASSIGN(found, catalog::ChainView(reader, chain_->order()).Inode(ino));
    return {};
  };
  VELAFS_TRY(host_.parts().catalog.Read(read));
  if (!found || found->row.nlink == 0) return Errno(ESTALE);
  auto inode = std::make_shared<Inode>(ino, loaded_bytes_);
  inode->row = std::move(found->row);
  inode->row_layer = found->row_layer;
  inode->born_layer = found->born_layer;
  // It may have been changed, forgotten by the kernel, and never synced: nobody remembers when.
  if (inode->row_layer == chain_->head_id()) {
    inode->changed_at = host_.parts().catalog.LastCommit();
  }
  if (inode->IsFile()) {
    WriterLock content(inode->content_lock);
    VELAFS_ASSIGN(inode->content, LoadContent(*inode));
  }
  return inode;
}

Result<FileContent> Branch::LoadContent(const Inode& inode) {
  Result<FileContent> content = FileContent::Load(
      *chain_, {.row = inode.row, .row_layer = inode.row_layer, .born_layer = inode.born_layer});
  if (content.ok()) return content;
  return std::move(content).status().WithContext("inode " + std::to_string(inode.ino.value) +
                                                 " of branch " + QuotedName());
}

void Branch::Retain(InodeNumber ino, uint64_t count) {
  // Counted under inodes_lock_, so that no count is lost with an inode that is forgotten meanwhile.
  const auto add = [&] {
    MutexLock lock(inodes_lock_);
    const auto found = inodes_.find(ino);
    if (found == inodes_.end()) return false;
    found->second->lookups += count;
    found->second->last_used = round_.load();
    return true;
  };
  if (add()) return;
  ReaderLock names(namespace_);
  if (Find(ino).ok()) add();
}

bool Branch::Forget(InodeNumber ino, uint64_t count) {
  InodePtr last_use;  // freed after the lock
  MutexLock lock(inodes_lock_);
  const auto found = inodes_.find(ino);
  if (found == inodes_.end()) return references_.Forget(ino, count);
  Inode& inode = *found->second;
  inode.lookups -= std::min(count, inode.lookups.load());
  if (inode.lookups > 0) return false;
  if (inode.is_gone) {
    DropIfGone(found->second);
  } else if (found->second.use_count() == 1) {
    last_use = std::move(found->second);
    inodes_.erase(found);
  }
  return true;
}

std::vector<InodeNumber> Branch::ReferredFiles() {
  ReaderLock names(namespace_);
  MutexLock lock(inodes_lock_);
  std::vector<InodeNumber> files = references_.Files();
  for (const auto& [ino, inode] : inodes_) {
    if (inode->lookups > 0 && inode->IsFile()) files.push_back(ino);
  }
  return files;
}

size_t Branch::KnownInodes() {
  MutexLock lock(inodes_lock_);
  return inodes_.size();
}

size_t Branch::ReferenceBytes() {
  MutexLock lock(inodes_lock_);
  return references_.bytes();
}

size_t Branch::DropIdle(uint32_t rounds, uint32_t lasting_rounds) {
  const uint32_t round = round_;
  std::vector<InodePtr> last_uses;  // freed after the locks
  std::vector<IdleReferences::Reference> references;
  // Nobody is loading an inode that another changes, and that would go, meanwhile.
  WriterLock names(namespace_);
  MutexLock lock(inodes_lock_);
  for (auto at = inodes_.begin(); at != inodes_.end();) {
    const InodePtr& inode = at->second;
    const bool is_lasting = inode->IsDirectory() || inode->is_used_again;
    const uint32_t idle_rounds = is_lasting ? lasting_rounds : rounds;
    // One without a name cannot be loaded anew.
    if (round - inode->last_used < idle_rounds || inode->is_gone || inode.use_count() > 1 ||
        inode->lookups > IdleReferences::kMostLookups) {
      ++at;
      continue;
    }
    if (inode->lookups > 0) references.push_back(inode->References());
    last_uses.push_back(std::move(at->second));
    at = inodes_.erase(at);
  }
  if (!references.empty()) references_.Add(references);
  // A table that has been large stays so otherwise.
  if (last_uses.size() > inodes_.size()) inodes_.rehash(0);
  return last_uses.size();
}

void Branch::DropIfGone(const InodePtr& inode) {
  if (!inode->is_gone || inode->lookups > 0) return;
  InodePtr dropped;
  dropped = inode;  // which may be the table's own
  inodes_.erase(dropped->ino);
  ReaderLock content(dropped->content_lock);
  if (!dropped->content) return;
  for (const auto& file : dropped->content->FilesFrom(dropped->gone_layer)) {
    host_.DiscardLater(file->layer().shared_from_this(), dropped->ino, dropped->gone_commit);
  }
}

void Branch::SetName(const std::string& name) {
  MutexLock lock(name_lock_);
  name_ = name;
}

std::vector<std::shared_ptr<Layer>> Branch::Layers() {
  ReaderLock names(namespace_);
  std::vector<std::shared_ptr<Layer>> layers;
  layers.reserve(chain_->links().size());
  for (const ChainLink& link : chain_->links()) layers.push_back(link.layer);
  return layers;
}

uint64_t Branch::generation() {
  ReaderLock names(namespace_);
  return chain_->generation();
}

Result<uint64_t> Branch::LogicalBytes() {
  if (knows_logical_bytes_) return logical_bytes_.load();
  WriterLock gate(gate_);
  ReaderLock names(namespace_);
  VELAFS_ASSIGN(const uint64_t sum, SumSizes());
  logical_bytes_ = sum;
  knows_logical_bytes_ = true;
  return sum;
}

Result<uint64_t> Branch::SumSizes() {
  uint64_t sum = 0;
  std::unordered_set<InodeNumber> seen;
  std::vector<InodeNumber> to_visit = {root_};
  while (!to_visit.empty()) {
    const Result<InodePtr> found = Find(to_visit.back());
    to_visit.pop_back();
    if (found.status().code() == Code::kCorrupt) continue;  // counts nothing, and costs no listing
    VELAFS_TRY(found.status());
    const InodePtr& inode = *found;
    if (!seen.insert(inode->ino).second) continue;
    if (inode->IsDirectory()) {
      VELAFS_ASSIGN(Directory * names, NamesOf(*inode));
      for (auto entry = names->After(0); entry != names->end(); ++entry) {
        if (entry->second.ino) to_visit.push_back(entry->second.ino);
      }
    }
    ReaderLock content(inode->content_lock);
    if (inode->content) sum += inode->content->size_bytes();
  }
  return sum;
}

}  // namespace velafs::layer
