// Random operations on one file, and on a copy of it in memory; the two must always agree.
//
//   random_file FILE [--seconds N] [--seed N] [--max-size BYTES] [--no-direct] [--cloner PROGRAM]
//
// FILE is taken as it is, or made. Now and then `PROGRAM N`, N from 1 up, is to make a clone of
// what FILE is then and to print the name that the file has in it; that must stay what it was. On a
// disagreement the last operations are printed, and the status is 1.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr size_t kBlock = 4096;  // O_DIRECT's unit
constexpr size_t kMaxLength = 200'000;
constexpr size_t kOperationsKept = 60;

class RandomFile {
 public:
  RandomFile(std::string path, unsigned seed, size_t max_size, bool with_direct, std::string cloner)
      : path_(std::move(path)),
        max_size_(max_size),
        with_direct_(with_direct),
        cloner_(std::move(cloner)),
        random_(seed) {
    Reopen();
    struct stat info {};
    Require(fstat(file_, &info) == 0, "fstat");
    model_.resize(static_cast<size_t>(info.st_size));
    Require(pread(file_, model_.data(), model_.size(), 0) == info.st_size,
            "reading the whole file");
  }

  void Step();
  void Clone();
  void CheckAll();
  int operations() const { return operations_; }
  size_t clones() const { return clones_.size(); }

 private:
  struct Snapshot {
    std::string path;
    std::string content;
  };

  size_t Pick(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random_); }
  size_t Position(size_t limit);
  std::string Data(size_t length);
  void Note(const char* name, size_t offset, size_t length);
  void Require(bool holds, const char* what);
  void Compare(std::string_view found, size_t offset, const char* what);
  void Put(size_t offset, std::string_view data);

  void Reopen();
  void Read(bool direct);
  void Write(bool direct);
  void Append();
  void MapRead();
  void MapWrite();
  void Truncate();
  void Allocate();
  void Zero();
  void Punch();
  void Copy();
  void Seek();
  static std::string WholeFile(const std::string& path);

  const std::string path_;
  const size_t max_size_;
  const bool with_direct_;
  const std::string cloner_;
  std::mt19937 random_;
  std::string model_;
  int file_ = -1;
  int operations_ = 0;
  std::deque<std::string> log_;
  std::vector<Snapshot> clones_;
};

// Often at, or next to, a border of blocks, pages or chunks.
size_t RandomFile::Position(size_t limit) {
  size_t at = Pick(limit + 1);
  if (Pick(2) == 0) return at;
  const size_t units[] = {kBlock, 8192, 65536};
  const size_t unit = units[Pick(3)];
  at = at / unit * unit + Pick(3);
  return std::min(at > 0 ? at - 1 : at, limit);
}

std::string RandomFile::Data(size_t length) {
  std::string data(length, static_cast<char>('a' + Pick(26)));
  for (size_t i = 0; i < length; i += 32) data[i] = static_cast<char>(Pick(256));
  return data;
}

void RandomFile::Note(const char* name, size_t offset, size_t length) {
  ++operations_;
  log_.push_back(std::to_string(operations_) + ": " + name + " at " + std::to_string(offset) +
                 ", " + std::to_string(length) + " bytes, of " + std::to_string(model_.size()));
  if (log_.size() > kOperationsKept) log_.pop_front();
}

void RandomFile::Require(bool holds, const char* what) {
  if (holds) return;
  const int error_number = errno;
  for (const std::string& line : log_) std::printf("%s\n", line.c_str());
  std::printf("failed: %s (errno is %s)\n", what, std::strerror(error_number));
  std::exit(1);
}

void RandomFile::Compare(std::string_view found, size_t offset, const char* what) {
  const std::string_view expected = std::string_view(model_).substr(offset, found.size());
  if (found == expected) return;
  const auto differs = std::ranges::mismatch(found, expected);
  std::printf("%s: what differs begins at %zu\n", what,
              offset + static_cast<size_t>(differs.in1 - found.begin()));
  Require(false, what);
}

void RandomFile::Put(size_t offset, std::string_view data) {
  if (model_.size() < offset + data.size()) model_.resize(offset + data.size());
  model_.replace(offset, data.size(), data);
}

void RandomFile::Reopen() {
  if (file_ >= 0) Require(close(file_) == 0, "close");
  file_ = open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  Require(file_ >= 0, "open");
}

void RandomFile::Read(bool direct) {
  size_t offset = Position(model_.size() + 10'000);
  size_t length = 1 + Position(kMaxLength);
  if (direct) {
    offset = offset / kBlock * kBlock;
    length = (length + kBlock - 1) / kBlock * kBlock;
  }
  Note(direct ? "read directly" : "read", offset, length);
  auto* const buffer =
      static_cast<char*>(std::aligned_alloc(kBlock, (length / kBlock + 1) * kBlock));
  const int file = direct ? open(path_.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC) : file_;
  const ssize_t got = pread(file, buffer, length, static_cast<off_t>(offset));
  if (direct) close(file);
  const size_t rest = model_.size() > offset ? model_.size() - offset : 0;
  Require(got == static_cast<ssize_t>(std::min(length, rest)), "a read's length");
  if (got > 0) Compare({buffer, static_cast<size_t>(got)}, offset, "a read");
  std::free(buffer);
}

void RandomFile::Write(bool direct) {
  size_t offset = Position(std::min(model_.size() + 30'000, max_size_ - 1));
  size_t length = 1 + Position(std::min(kMaxLength, max_size_ - offset - 1));
  if (direct) {
    offset = offset / kBlock * kBlock;
    length = (length + kBlock - 1) / kBlock * kBlock;
  }
  Note(direct ? "write directly" : "write", offset, length);
  const std::string data = Data(length);
  auto* const buffer =
      static_cast<char*>(std::aligned_alloc(kBlock, (length / kBlock + 1) * kBlock));
  std::memcpy(buffer, data.data(), length);
  const int file = direct ? open(path_.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC) : file_;
  const ssize_t put = pwrite(file, buffer, length, static_cast<off_t>(offset));
  if (direct) close(file);
  std::free(buffer);
  Require(put == static_cast<ssize_t>(length), "a write");
  Put(offset, data);
}

void RandomFile::Append() {
  const std::string data = Data(1 + Pick(9'000));
  if (model_.size() + data.size() > max_size_) return;
  Note("append", model_.size(), data.size());
  const int file = open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  Require(write(file, data.data(), data.size()) == static_cast<ssize_t>(data.size()), "an append");
  close(file);
  Put(model_.size(), data);
}

void RandomFile::MapRead() {
  if (model_.empty()) return;
  const size_t offset = Position(model_.size() - 1);
  const size_t length = 1 + Position(std::min(kMaxLength, model_.size() - offset - 1));
  Note("read mapped", offset, length);
  const size_t begin = offset / kBlock * kBlock;
  const size_t mapped = (offset + length - begin + kBlock - 1) / kBlock * kBlock;
  auto* const map = static_cast<char*>(
      mmap(nullptr, mapped, PROT_READ, MAP_SHARED, file_, static_cast<off_t>(begin)));
  Require(map != MAP_FAILED, "mmap");
  Compare({map + (offset - begin), length}, offset, "a mapped read");
  // Past the end a page holds zeros.
  for (size_t at = std::max(model_.size(), begin); at < begin + mapped; ++at) {
    Require(map[at - begin] == 0, "a page past the end");
  }
  munmap(map, mapped);
}

void RandomFile::MapWrite() {
  if (model_.empty()) return;
  const size_t offset = Position(model_.size() - 1);
  const size_t length = 1 + Position(std::min(kMaxLength, model_.size() - offset - 1));
  const bool sync = Pick(3) == 0;
  Note(sync ? "write mapped and synced" : "write mapped", offset, length);
  const std::string data = Data(length);
  const size_t begin = offset / kBlock * kBlock;
  const size_t mapped = offset + length - begin;
  auto* const map = static_cast<char*>(
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file_, static_cast<off_t>(begin)));
  Require(map != MAP_FAILED, "mmap");
  std::memcpy(map + (offset - begin), data.data(), length);
  if (sync) Require(msync(map, mapped, MS_SYNC) == 0, "msync");
  munmap(map, mapped);
  Put(offset, data);
}

void RandomFile::Truncate() {
  const size_t size = Pick(6) == 0 ? 0 : Position(max_size_);
  Note("truncate", size, 0);
  Require(ftruncate(file_, static_cast<off_t>(size)) == 0, "ftruncate");
  model_.resize(size);
}

void RandomFile::Allocate() {
  const size_t offset = Position(max_size_ - 1);
  const size_t length = 1 + Position(std::min(kMaxLength, max_size_ - offset - 1));
  const bool keep_size = Pick(2) == 0;
  Note(keep_size ? "allocate, the size kept," : "allocate", offset, length);
  Require(fallocate(file_, keep_size ? FALLOC_FL_KEEP_SIZE : 0, static_cast<off_t>(offset),
                    static_cast<off_t>(length)) == 0,
          "fallocate");
  if (!keep_size) model_.resize(std::max(model_.size(), offset + length));
}

void RandomFile::Zero() {
  const size_t offset = Position(max_size_ - 1);
  const size_t length = 1 + Position(std::min(kMaxLength, max_size_ - offset - 1));
  const bool keep_size = Pick(2) == 0;
  Note(keep_size ? "zero, the size kept," : "zero", offset, length);
  Require(fallocate(file_, FALLOC_FL_ZERO_RANGE | (keep_size ? FALLOC_FL_KEEP_SIZE : 0),
                    static_cast<off_t>(offset), static_cast<off_t>(length)) == 0,
          "fallocate that zeroes");
  if (!keep_size) model_.resize(std::max(model_.size(), offset + length));
  const size_t end = std::min(model_.size(), offset + length);
  if (offset < end) model_.replace(offset, end - offset, end - offset, '\0');
}

void RandomFile::Punch() {
  const size_t offset = Position(max_size_ - 1);
  const size_t length = 1 + Position(kMaxLength);
  Note("punch", offset, length);
  Require(fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(length)) == 0,
          "fallocate that punches");
  const size_t end = std::min(model_.size(), offset + length);
  if (offset < end) model_.replace(offset, end - offset, end - offset, '\0');
}

void RandomFile::Copy() {
  if (model_.empty()) return;
  const size_t from = Position(model_.size() - 1);
  const size_t to = Position(max_size_ - 1);
  const size_t apart = from > to ? from - to : to - from;  // the ranges must not overlap
  const size_t length = std::min({kMaxLength, model_.size() - from, max_size_ - to, apart});
  if (length == 0) return;
  Note("copy", from, length);
  off_t in = static_cast<off_t>(from);
  off_t out = static_cast<off_t>(to);
  size_t done = 0;
  while (done < length) {
    const ssize_t copied = copy_file_range(file_, &in, file_, &out, length - done, 0);
    Require(copied > 0, "copy_file_range");
    done += static_cast<size_t>(copied);
  }
  Put(to, model_.substr(from, length));
}

// What SEEK_DATA passes over must be zeros.
void RandomFile::Seek() {
  if (model_.empty()) return;
  const size_t offset = Position(model_.size() - 1);
  Note("seek data", offset, 0);
  const off_t found = lseek(file_, static_cast<off_t>(offset), SEEK_DATA);
  Require(found >= 0 || errno == ENXIO, "lseek");
  const size_t end = found >= 0 ? static_cast<size_t>(found) : model_.size();
  Require(end <= model_.size() && model_.find_first_not_of('\0', offset) >= end,
          "a hole that holds data");
}

void RandomFile::Step() {
  switch (Pick(24)) {
    case 0:
      Truncate();
      break;
    case 1:
      Allocate();
      break;
    case 2:
      Zero();
      break;
    case 3:
      Punch();
      break;
    case 4:
      Copy();
      break;
    case 5:
      Append();
      break;
    case 6:
      Seek();
      break;
    case 7:
      Note("sync", 0, 0);
      Require((Pick(2) == 0 ? fsync(file_) : fdatasync(file_)) == 0, "fsync");
      break;
    case 8:
      Note("open again", 0, 0);
      Reopen();
      break;
    case 9:
    case 10:
    case 11:
      Read(with_direct_);
      break;
    case 12:
    case 13:
    case 14:
      Write(with_direct_);
      break;
    case 15:
    case 16:
    case 17:
      MapRead();
      break;
    case 18:
    case 19:
    case 20:
      MapWrite();
      break;
    case 21:
      Read(false);
      break;
    default:
      Write(false);
      break;
  }
  struct stat info {};
  Require(fstat(file_, &info) == 0, "fstat");
  Require(static_cast<size_t>(info.st_size) == model_.size(), "the size");
}

std::string RandomFile::WholeFile(const std::string& path) {
  std::string content;
  if (std::FILE* file = std::fopen(path.c_str(), "r")) {
    char buffer[65536];
    size_t got = 0;
    while ((got = std::fread(buffer, 1, sizeof buffer, file)) > 0) content.append(buffer, got);
    std::fclose(file);
  }
  return content;
}

void RandomFile::Clone() {
  if (cloner_.empty()) return;
  const size_t number = clones_.size() + 1;
  Note("clone", number, 0);
  // What was written through a mapping reaches the filesystem no later than here.
  Require(fdatasync(file_) == 0, "fdatasync");
  std::FILE* output = popen((cloner_ + " " + std::to_string(number)).c_str(), "r");
  char path[4096] = {};
  const bool has_line = output != nullptr && std::fgets(path, sizeof path, output) != nullptr;
  Require(output != nullptr && pclose(output) == 0 && has_line, "the cloner");
  path[std::strcspn(path, "\n")] = '\0';
  clones_.push_back({path, model_});
  Require(WholeFile(path) == model_, "a new clone");
}

void RandomFile::CheckAll() {
  Note("compare", 0, 0);
  for (const Snapshot& clone : clones_) {
    Require(WholeFile(clone.path) == clone.content, clone.path.c_str());
  }
  Require(WholeFile(path_) == model_, "the whole file");
}

}  // namespace

int main(int argc, char** argv) {
  const auto option = [&](const char* name) -> const char* {
    for (int i = 2; i < argc; ++i) {
      if (std::strcmp(argv[i], name) == 0) return i + 1 < argc ? argv[i + 1] : "";
    }
    return nullptr;
  };
  const auto number = [&](const char* name, unsigned long otherwise) {
    const char* value = option(name);
    return value != nullptr ? std::strtoul(value, nullptr, 10) : otherwise;
  };
  if (argc < 2) return 2;
  const auto seed = static_cast<unsigned>(number("--seed", std::random_device{}()));
  const auto seconds = std::chrono::seconds(number("--seconds", 20));
  std::printf("replay with --seed %u\n", seed);
  std::fflush(stdout);
  RandomFile file(argv[1], seed, number("--max-size", 2'000'000), option("--no-direct") == nullptr,
                  option("--cloner") != nullptr ? option("--cloner") : "");
  constexpr int kClones = 10;
  const auto start = std::chrono::steady_clock::now();
  for (int clones = 0;;) {
    const auto passed = std::chrono::steady_clock::now() - start;
    if (passed >= seconds) break;
    file.Step();
    if (passed * kClones > seconds * clones) {
      file.Clone();
      ++clones;
    }
  }
  file.CheckAll();
  std::printf("%d operations, %zu clones\n", file.operations(), file.clones());
  return 0;
}
