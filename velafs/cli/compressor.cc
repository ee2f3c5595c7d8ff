#include "velafs/cli/compressor.h"

#include <archive.h>
#include <archive_entry.h>

#include <cerrno>
#include <thread>
#include <utility>

namespace velafs::cli {
namespace {

constexpr int kBlockBytes = 256 * 1024;
constexpr std::pair<const char*, const char*> kSuffixes[] = {
    {".zst", "zstd"}, {".gz", "gzip"}, {".tgz", "gzip"}, {".xz", "xz"}, {".lz4", "lz4"}};

// What the names of archives end with that this does not write.
constexpr const char* kOtherSuffixes[] = {".bz2",  ".tbz", ".tbz2", ".Z",   ".taz",
                                          ".lzma", ".tlz", ".lz",   ".lzo", ".br",
                                          ".zip",  ".7z",  ".txz",  ".tzst"};

int AddFilter(archive* to, const std::string& compression) {
  if (compression == "zstd") return archive_write_add_filter_zstd(to);
  if (compression == "gzip") return archive_write_add_filter_gzip(to);
  if (compression == "xz") return archive_write_add_filter_xz(to);
  return archive_write_add_filter_lz4(to);
}

}  // namespace

Result<std::string> CompressionFor(const std::string& path) {
  for (const auto& [suffix, compression] : kSuffixes) {
    if (path.ends_with(suffix)) return std::string(compression);
  }
  for (const std::string suffix : kOtherSuffixes) {
    if (!path.ends_with(suffix)) continue;
    return UsageError("no archive is compressed as " + suffix + " says",
                      "let the name end with .zst, .gz, .xz or .lz4; for any other, compress the "
                      "output of --to-tar -");
  }
  return std::string();
}

Compressor::Compressor(std::string compression, WriteFn out)
    : compression_(std::move(compression)), out_(std::move(out)) {}

Compressor::~Compressor() {
  if (archive_ != nullptr) archive_write_free(archive_);
}

Status Compressor::Check(long result) {
  VELAFS_TRY(failure_);
  if (result >= ARCHIVE_WARN) return {};
  const char* text = archive_error_string(archive_);
  return Failed("cannot compress the archive" +
                (text == nullptr ? std::string() : ": " + std::string(text)));
}

Status Compressor::Open() {
  if (compression_.empty()) return {};
  archive_ = archive_write_new();
  if (archive_ == nullptr) return SystemError(ENOMEM, "cannot compress the archive");
  // To the library it is one file, without anything around it.
  VELAFS_TRY(Check(archive_write_set_format_raw(archive_)));
  VELAFS_TRY(Check(AddFilter(archive_, compression_)));
  const std::string threads = std::to_string(std::thread::hardware_concurrency());
  // Where the library cannot use several, it uses one.
  archive_write_set_filter_option(archive_, nullptr, "threads", threads.c_str());
  VELAFS_TRY(Check(archive_write_set_bytes_per_block(archive_, kBlockBytes)));
  VELAFS_TRY(Check(archive_write_set_bytes_in_last_block(archive_, 1)));
  const auto take = [](archive* it, void* self, const void* bytes, size_t size) -> la_ssize_t {
    auto& compressor = *static_cast<Compressor*>(self);
    if (compressor.failure_.ok()) {
      compressor.failure_ = compressor.out_({static_cast<const std::byte*>(bytes), size});
    }
    if (compressor.failure_.ok()) return static_cast<la_ssize_t>(size);
    archive_set_error(it, EIO, "it cannot be written");
    return -1;
  };
  VELAFS_TRY(Check(archive_write_open2(archive_, this, nullptr, take, nullptr, nullptr)));
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                            archive_entry_free);
  archive_entry_set_pathname(entry.get(), "archive");
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  return Check(archive_write_header(archive_, entry.get()));
}

Status Compressor::Write(std::span<const std::byte> bytes) {
  if (compression_.empty()) return out_(bytes);
  return Check(archive_write_data(archive_, bytes.data(), bytes.size()));
}

Status Compressor::Finish() {
  if (compression_.empty()) return {};
  return Check(archive_write_close(archive_));
}

}  // namespace velafs::cli
