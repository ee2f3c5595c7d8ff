#include "velafs/store/import/content_size.h"

#include <sys/stat.h>

#include <filesystem>

#include "velafs/base/units.h"

namespace velafs::store {
namespace {

// Every level is an open file; whoever made the directories may have nested them without end.
constexpr int kMaxCountedDepth = 64;

void Add(const std::filesystem::path& path, ContentSize* size) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    size->is_more = true;
  } else if (S_ISREG(info.st_mode)) {
    ++size->files;
    size->bytes += static_cast<uint64_t>(info.st_size);
  }
}

}  // namespace

std::string ContentSize::ToString() const {
  return (is_more ? "more than " : "") + FormatSize(bytes) + " in " + std::to_string(files) +
         (files == 1 ? " file" : " files");
}

ContentSize ContentMeasure::Of(const std::string& path) {
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [begin] { return std::chrono::steady_clock::now() - begin; };
  ContentSize size;
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) Add(path, &size);
  std::filesystem::recursive_directory_iterator at(path, error);
  for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    if (elapsed() >= patience_) {
      size.is_more = true;
      break;
    }
    if (at.depth() >= kMaxCountedDepth && at.recursion_pending()) {
      at.disable_recursion_pending();
      size.is_more = true;
    }
    Add(at->path(), &size);
  }
  if (error && error != std::errc::not_a_directory) size.is_more = true;
  patience_ -= std::min<std::chrono::nanoseconds>(patience_, elapsed());
  return size;
}

}  // namespace velafs::store
