#include "velafs/chunk/codec.h"

#include <zstd.h>

#include <charconv>
#include <memory>

#include "velafs/base/check.h"

namespace velafs::chunk {
namespace {

constexpr int kDefaultLevel = 3;
constexpr int kMaxLevel = 19;  // above, memory grows by far more than what is saved
constexpr size_t kLeastSaving = 16;

struct FreeContext {
  void operator()(ZSTD_CCtx* it) const { ZSTD_freeCCtx(it); }
  void operator()(ZSTD_DCtx* it) const { ZSTD_freeDCtx(it); }
};

}  // namespace

Result<Compression> ParseCompression(std::string_view text) {
  constexpr std::string_view kZstd = "zstd";
  if (text == "none") return Compression{};
  if (text == kZstd) return Compression{kDefaultLevel};
  int level = 0;
  if (text.starts_with("zstd:")) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + kZstd.size() + 1, end, level);
    if (parsed.ec != std::errc() || parsed.ptr != end) level = 0;
  }
  if (level >= 1 && level <= kMaxLevel) return Compression{level};
  return UsageError(
      "\"" + std::string(text) + "\" is not a compression",
      "write none, zstd, or zstd:LEVEL with a level from 1 to " + std::to_string(kMaxLevel));
}

std::string ToString(const Compression& compression) {
  if (compression.zstd_level == 0) return "none";
  return "zstd:" + std::to_string(compression.zstd_level);
}

std::vector<std::byte> Compress(std::span<const std::byte> content,
                                const Compression& compression) {
  if (compression.zstd_level == 0) return {};
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  VELAFS_CHECK(context != nullptr);
  // Where it gets no smaller, there is no room for it.
  std::vector<std::byte> payload(content.size() - content.size() / kLeastSaving);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, compression.zstd_level);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  const size_t size =
      ZSTD_compress2(context.get(), payload.data(), payload.size(), content.data(), content.size());
  if (ZSTD_isError(size) != 0) return {};
  payload.resize(size);
  return payload;
}

Status Decompress(std::span<const std::byte> payload, std::span<std::byte> into) {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  VELAFS_CHECK(context != nullptr);
  const size_t size =
      ZSTD_decompressDCtx(context.get(), into.data(), into.size(), payload.data(), payload.size());
  if (ZSTD_isError(size) == 0 && size == into.size()) return {};
  return Corrupt("the compressed data there is damaged");
}

}  // namespace velafs::chunk
