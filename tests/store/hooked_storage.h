// A storage, the host's most often, with a hook before every change: it may make the change fail,
// or end the process.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "velafs/os/storage.h"

namespace velafs::test {

// Called with the path; a failure it returns becomes the operation's.
using StorageHook = std::function<Status(const std::string& path)>;

class HookedFile : public os::File {
 public:
  HookedFile(std::unique_ptr<os::File> file, std::string path, const StorageHook& hook)
      : file_(std::move(file)), path_(std::move(path)), hook_(hook) {}

  Result<size_t> Read(uint64_t offset_bytes, std::span<std::byte> into) override {
    return file_->Read(offset_bytes, into);
  }
  Status Write(uint64_t offset_bytes, std::span<const std::byte> data) override {
    VELAFS_TRY(hook_(path_));
    return file_->Write(offset_bytes, data);
  }
  Status Truncate(uint64_t size_bytes) override {
    VELAFS_TRY(hook_(path_));
    return file_->Truncate(size_bytes);
  }
  Status Allocate(ByteRange range, bool keep_size) override {
    VELAFS_TRY(hook_(path_));
    return file_->Allocate(range, keep_size);
  }
  Status PunchHole(ByteRange range) override {
    VELAFS_TRY(hook_(path_));
    return file_->PunchHole(range);
  }
  Result<uint64_t> SeekData(uint64_t offset_bytes) override {
    return file_->SeekData(offset_bytes);
  }
  Result<uint64_t> SeekHole(uint64_t offset_bytes) override {
    return file_->SeekHole(offset_bytes);
  }
  Status Sync(os::SyncKind kind) override {
    VELAFS_TRY(hook_(path_));
    return file_->Sync(kind);
  }
  Result<os::FileInfo> Stat() override { return file_->Stat(); }
  Status SetTimes(TimeNs atime, TimeNs mtime) override {
    VELAFS_TRY(hook_(path_));
    return file_->SetTimes(atime, mtime);
  }

 private:
  const std::unique_ptr<os::File> file_;
  const std::string path_;
  const StorageHook& hook_;
};

class HookedStorage : public os::Storage {
 public:
  explicit HookedStorage(StorageHook hook, os::Storage& host = os::HostStorage())
      : host_(host), hook_(std::move(hook)) {}

  Result<std::unique_ptr<os::File>> Open(const std::string& path, os::OpenMode mode) override {
    VELAFS_TRY(hook_(path));
    VELAFS_ASSIGN(auto file, host_.Open(path, mode));
    return std::unique_ptr<os::File>(new HookedFile(std::move(file), path, hook_));
  }
  Status MakeDirectory(const std::string& path, uint32_t mode) override {
    VELAFS_TRY(hook_(path));
    return host_.MakeDirectory(path, mode);
  }
  Status RemoveFile(const std::string& path) override {
    VELAFS_TRY(hook_(path));
    return host_.RemoveFile(path);
  }
  Status RemoveTree(const std::string& path) override {
    VELAFS_TRY(hook_(path));
    return host_.RemoveTree(path);
  }
  Status Rename(const std::string& from, const std::string& to) override {
    VELAFS_TRY(hook_(from));
    return host_.Rename(from, to);
  }
  Result<std::vector<os::DirectoryEntry>> List(const std::string& path) override {
    return host_.List(path);
  }
  Result<os::FileInfo> Stat(const std::string& path) override { return host_.Stat(path); }
  Status SyncDirectory(const std::string& path) override {
    VELAFS_TRY(hook_(path));
    return host_.SyncDirectory(path);
  }
  Result<os::SpaceInfo> Space(const std::string& path) override { return host_.Space(path); }

 private:
  os::Storage& host_;
  const StorageHook hook_;
};

}  // namespace velafs::test
