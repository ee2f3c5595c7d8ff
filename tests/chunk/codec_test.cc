#include "velafs/chunk/codec.h"

#include <doctest/doctest.h>

#include <random>

#include "velafs/base/ids.h"
#include "velafs/chunk/content_cache.h"

namespace velafs::chunk {
namespace {

std::vector<std::byte> Content(size_t size, unsigned distinct, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> content(size);
  for (std::byte& byte : content) byte = static_cast<std::byte>(random() % distinct);
  return content;
}

TEST_CASE("a compression is what its text says") {
  CHECK(*ParseCompression("none") == Compression{});
  CHECK(*ParseCompression("zstd") == Compression{3});
  CHECK(*ParseCompression("zstd:1") == Compression{1});
  CHECK(*ParseCompression("zstd:19") == Compression{19});
  for (const char* text : {"", "lz4", "zstd:", "zstd:0", "zstd:20", "zstd:-1", "zstd:3x", "ZSTD"}) {
    CAPTURE(text);
    CHECK(ParseCompression(text).status().code() == Code::kUsage);
  }
  for (int level : {0, 1, 19}) {
    CHECK(*ParseCompression(ToString(Compression{level})) == Compression{level});
  }
}

TEST_CASE("compressed content comes back as it was, whatever its length") {
  for (size_t size : {size_t{100}, size_t{8191}, size_t{8192}, static_cast<size_t>(kChunkBytes)}) {
    for (int level : {1, 3, 19}) {
      CAPTURE(size);
      const auto content = Content(size, 8, static_cast<unsigned>(size));
      const auto payload = Compress(content, {level});
      REQUIRE(!payload.empty());
      CHECK(payload.size() < size * 2 / 3);
      std::vector<std::byte> back(size);
      REQUIRE(Decompress(payload, back).ok());
      CHECK(back == content);
    }
  }
}

TEST_CASE("content that would hardly get smaller is not compressed") {
  CHECK(Compress(Content(kChunkBytes, 256, 1), {19}).empty());
  CHECK(Compress(Content(1, 1, 1), {3}).empty());
  CHECK(Compress(Content(kChunkBytes, 2, 1), {}).empty());  // nor what is not to be
}

TEST_CASE("damaged or foreign payloads are told, and never read past the content") {
  const auto content = Content(kChunkBytes, 8, 1);
  const auto payload = Compress(content, {3});
  std::vector<std::byte> into(kChunkBytes);
  CHECK(Decompress(std::span(payload).first(payload.size() / 2), into).code() == Code::kCorrupt);
  CHECK(Decompress(payload, std::span(into).first(100)).code() == Code::kCorrupt);
  CHECK(Decompress({}, into).code() == Code::kCorrupt);
  CHECK(Decompress(content, into).code() == Code::kCorrupt);
  // Any one bit that flips shows.
  for (size_t at = 0; at < payload.size(); at += 101) {
    auto flipped = payload;
    flipped[at] ^= std::byte{4};
    CHECK_FALSE((Decompress(flipped, into).ok() && into != content));
  }
  std::vector<std::byte> more(kChunkBytes + 1);
  CHECK(Decompress(payload, more).code() == Code::kCorrupt);
}

TEST_CASE("a cache keeps what was used last") {
  ContentCache cache(2);
  const auto place = [](uint64_t offset) {
    ChunkLocation location;
    location.pack = PackId(1);
    location.offset_bytes = offset;
    return location;
  };
  const auto content = [](int value) {
    return std::make_shared<std::byte[]>(1, static_cast<std::byte>(value));
  };
  const auto found = [&](uint64_t offset) {
    return static_cast<int>(cache.Find(place(offset))[0]);
  };
  cache.Keep(place(1), content(1));
  cache.Keep(place(2), content(2));
  CHECK(found(1) == 1);
  cache.Keep(place(3), content(3));
  CHECK(cache.Find(place(2)) == nullptr);
  CHECK(found(1) == 1);
  CHECK(found(3) == 3);
}

}  // namespace
}  // namespace velafs::chunk
