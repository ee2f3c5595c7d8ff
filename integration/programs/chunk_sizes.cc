// chunk_sizes FIRST SECOND: what two states of a directory, stored one after the other, would cost
// with chunks of 8 to 128 KiB. Prints for each size: bytes of a chunk, chunks of the first state,
// bytes stored for it, bytes that the second adds, MB of the first hashed and compressed in a
// second of processor time, microseconds to decompress a chunk.
#include <openssl/sha.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

namespace {

constexpr size_t kLargest = 128 << 10;
constexpr size_t kHeaderBytes = 64;  // of a record in a pack
constexpr int kLevel = 3;

double ProcessorSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

class Store {
 public:
  explicit Store(size_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  void Add(const std::filesystem::path& directory) {
    std::vector<char> buffer(kLargest);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())),
             file.gcount() > 0) {
        const auto got = static_cast<size_t>(file.gcount());
        const double start = ProcessorSeconds();
        for (size_t at = 0; at < got; at += chunk_bytes_) {
          AddChunk(buffer.data() + at, std::min(chunk_bytes_, got - at));
        }
        seconds_ += ProcessorSeconds() - start;
        content_bytes_ += got;
      }
    }
  }

  // Of some of the chunks of the full size.
  double MicrosecondsToDecompress() const {
    if (kept_.empty()) return 0;
    std::vector<char> content(chunk_bytes_);
    ZSTD_DCtx* const context = ZSTD_createDCtx();
    const double start = ProcessorSeconds();
    for (const std::string& frame : kept_) {
      ZSTD_decompressDCtx(context, content.data(), content.size(), frame.data(), frame.size());
    }
    const double seconds = ProcessorSeconds() - start;
    ZSTD_freeDCtx(context);
    return seconds * 1e6 / static_cast<double>(kept_.size());
  }

  uint64_t chunks() const { return names_.size(); }
  uint64_t stored_bytes() const { return stored_bytes_; }
  double megabytes_per_second() const {
    return static_cast<double>(content_bytes_) / 1e6 / seconds_;
  }

 private:
  void AddChunk(const char* content, size_t bytes) {
    if (content[0] == 0 && std::memcmp(content, content + 1, bytes - 1) == 0) return;
    std::string name(SHA256_DIGEST_LENGTH, '\0');
    SHA256(reinterpret_cast<const unsigned char*>(content), bytes,
           reinterpret_cast<unsigned char*>(name.data()));
    if (!names_.insert(name).second) return;
    frame_.resize(ZSTD_compressBound(bytes));
    const size_t size =
        ZSTD_compressCCtx(context_, frame_.data(), frame_.size(), content, bytes, kLevel);
    const bool is_smaller = ZSTD_isError(size) == 0 && size <= bytes - bytes / 16;
    stored_bytes_ += kHeaderBytes + (is_smaller ? size : bytes);
    if (is_smaller && bytes == chunk_bytes_ && kept_.size() < 2000 && random_() % 8 == 0) {
      kept_.emplace_back(frame_.data(), size);
    }
  }

  const size_t chunk_bytes_;
  ZSTD_CCtx* const context_ = ZSTD_createCCtx();  // for as long as the program runs
  std::mt19937 random_;
  std::vector<char> frame_;
  std::unordered_set<std::string> names_;
  std::vector<std::string> kept_;
  uint64_t content_bytes_ = 0;
  uint64_t stored_bytes_ = 0;
  double seconds_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: chunk_sizes FIRST SECOND\n"), 2;
  for (size_t chunk_bytes = 8 << 10; chunk_bytes <= kLargest; chunk_bytes *= 2) {
    Store store(chunk_bytes);
    store.Add(argv[1]);
    const uint64_t chunks = store.chunks();
    const uint64_t first_bytes = store.stored_bytes();
    const double rate = store.megabytes_per_second();
    store.Add(argv[2]);
    std::printf("%zu %llu %llu %llu %.0f %.1f\n", chunk_bytes,
                static_cast<unsigned long long>(chunks),
                static_cast<unsigned long long>(first_bytes),
                static_cast<unsigned long long>(store.stored_bytes() - first_bytes), rate,
                store.MicrosecondsToDecompress());
  }
}
