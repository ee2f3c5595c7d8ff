#include <openssl/evp.h>

#include <cstring>
#include <vector>

#include "velafs/base/check.h"
#include "velafs/chunk/codec.h"
#include "velafs/chunk/pack_format.h"
#include "velafs/chunk/packs.h"

namespace velafs::chunk {
namespace {

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// Looking the algorithm up by name costs more than hashing a small chunk, so it is done once.
const EVP_MD* Sha256() {
  static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  VELAFS_CHECK(algorithm != nullptr);
  return algorithm;
}

}  // namespace

ChunkId HashChunk(std::span<const std::byte> content) {
  thread_local const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context(EVP_MD_CTX_new());
  VELAFS_CHECK(context != nullptr);
  ChunkId id;
  VELAFS_CHECK(EVP_DigestInit_ex2(context.get(), Sha256(), nullptr) == 1);
  VELAFS_CHECK(EVP_DigestUpdate(context.get(), content.data(), content.size()) == 1);
  VELAFS_CHECK(EVP_DigestFinal_ex(context.get(), id.bytes.data(), nullptr) == 1);
  return id;
}

Status CheckPayload(const ChunkLocation& location, const ChunkId& id,
                    std::span<const std::byte> payload) {
  VELAFS_TRY(CheckCodec(static_cast<uint8_t>(location.codec)));
  std::span<const std::byte> content = payload;
  if (location.codec == Codec::kZstd && location.raw_bytes <= kChunkBytes) {
    thread_local std::vector<std::byte> buffer(kChunkBytes);
    const auto into = std::span(buffer).first(location.raw_bytes);
    VELAFS_TRY(Decompress(payload, into));
    content = into;
  }
  if (content.size() == location.raw_bytes && HashChunk(content) == id) return {};
  return Corrupt("the content of chunk " + id.ToHex() + " does not match its SHA-256");
}

bool IsZeros(std::span<const std::byte> content) {
  if (content.empty()) return true;
  // Every byte equals its neighbour, and the first is zero: memcmp is the fastest loop there is.
  return content[0] == std::byte{0} &&
         std::memcmp(content.data(), content.data() + 1, content.size() - 1) == 0;
}

}  // namespace velafs::chunk
