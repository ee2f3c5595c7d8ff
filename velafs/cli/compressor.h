// Compresses a stream, as the name of its file says.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "velafs/base/status.h"
#include "velafs/base/streams.h"

struct archive;

namespace velafs::cli {

// "zstd", "gzip", "xz" or "lz4" for a path that ends with .zst, .gz, .tgz, .xz or .lz4;
// a usage error for one that means another compression; else "".
Result<std::string> CompressionFor(const std::string& path);

// One thread.
class Compressor {
 public:
  // `compression` is a result of CompressionFor; "" hands the bytes on unchanged.
  Compressor(std::string compression, WriteFn out);
  ~Compressor();
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  Status Open();
  Status Write(std::span<const std::byte> bytes);
  // Call it after the last bytes: hands on the rest.
  Status Finish();

 private:
  Status Check(long result);  // of a call of the library's

  const std::string compression_;
  const WriteFn out_;
  Status failure_;  // of out_
  archive* archive_ = nullptr;
};

}  // namespace velafs::cli
