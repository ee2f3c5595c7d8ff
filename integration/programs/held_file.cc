// Keeps a file open, and does with it what it is told: what stays in the kernel's write cache is
// that of files nobody has closed.
//
//   held_file FILE      makes the file if it is missing
//
// Reads commands from standard input, one a line, and answers each with "ok", a number, or the name
// of an errno. BYTE is a number; it fills all of the length.
//
//   write OFFSET LENGTH BYTE    by write(2)
//   map OFFSET LENGTH BYTE      by a shared mapping, which stays; the file must be that long
//   truncate LENGTH
//   sync                        fsync(2)
//   read OFFSET                 answers the byte that is there, or "end"
//   data OFFSET                 answers where data begins at or after it (SEEK_DATA)
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

int file = -1;

std::string Outcome(long result) { return result >= 0 ? "ok" : strerrorname_np(errno); }

// In pieces of a page, as PostgreSQL does.
long Write(off_t offset, size_t length, int byte) {
  const std::vector<char> page(8192, static_cast<char>(byte));
  while (length > 0) {
    const ssize_t done = pwrite(file, page.data(), std::min(page.size(), length), offset);
    if (done < 0) return -1;
    offset += done;
    length -= static_cast<size_t>(done);
  }
  return 0;
}

long Map(off_t offset, size_t length, int byte) {
  const size_t end = static_cast<size_t>(offset) + length;
  void* const memory = mmap(nullptr, end, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) return -1;
  std::memset(static_cast<char*>(memory) + offset, byte, length);
  return 0;  // to unmap it would send what was written
}

std::string Read(off_t offset) {
  unsigned char byte = 0;
  const ssize_t got = pread(file, &byte, 1, offset);
  if (got < 0) return strerrorname_np(errno);
  return got == 0 ? "end" : std::to_string(byte);
}

std::string Data(off_t offset) {
  const off_t at = lseek(file, offset, SEEK_DATA);
  return at < 0 ? strerrorname_np(errno) : std::to_string(at);
}

std::string Do(const std::string& command, off_t first, size_t length, int byte) {
  if (command == "write") return Outcome(Write(first, length, byte));
  if (command == "map") return Outcome(Map(first, length, byte));
  if (command == "truncate") return Outcome(ftruncate(file, first));
  if (command == "sync") return Outcome(fsync(file));
  if (command == "read") return Read(first);
  if (command == "data") return Data(first);
  return "unknown";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  file = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    std::perror(argv[1]);
    return 1;
  }
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    off_t first = 0;
    size_t length = 0;
    int byte = 0;
    words >> command >> first >> length >> byte;
    std::cout << Do(command, first, length, byte) << std::endl;
  }
}
