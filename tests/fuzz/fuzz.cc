#include "tests/fuzz/fuzz.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/places.h"
#include "tests/random.h"
#include "velafs/os/unique_fd.h"

namespace velafs::test {
namespace {

constexpr unsigned kHangSeconds = 60;
constexpr size_t kMaxInputBytes = 1 << 20;

std::vector<std::string> CorpusOf(const std::string& name) {
  std::vector<std::string> inputs;
  const std::filesystem::path directory =
      std::filesystem::path(kSourceDirectory) / "tests/fuzz/corpus" / name;
  if (!std::filesystem::exists(directory)) return inputs;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  std::ranges::sort(inputs);
  return inputs;
}

// The file that has the input under way: what crashes leaves it there.
class Underway {
 public:
  explicit Underway(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / ("velafs-fuzz-" + name)),
        fd_(open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)) {
    REQUIRE_MESSAGE(fd_, path_);
  }
  ~Underway() {
    alarm(0);
    unlink(path_.c_str());
  }
  void Note(const std::string& input) {
    REQUIRE(pwrite(fd_.get(), input.data(), input.size(), 0) == std::ssize(input));
    REQUIRE(ftruncate(fd_.get(), std::ssize(input)) == 0);
    alarm(kHangSeconds);  // ends the process: a hang is a failure
  }

 private:
  const std::string path_;
  const os::UniqueFd fd_;
};

}  // namespace

std::string Mutator::InterestingNumber() {
  constexpr std::array<uint64_t, 18> kNumbers = {
      0,      1,      2,      7,       64,         127,        128,        255,       256,
      0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_MAX};
  uint64_t number = kNumbers[Below(kNumbers.size())];
  if (Below(4) == 0) number += Below(16) - 8;
  if (Below(3) == 0) return std::to_string(number);
  std::string bytes;
  const size_t size = size_t{1} << Below(4);
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(number >> (8 * i)));
  if (Below(4) == 0) std::ranges::reverse(bytes);
  return bytes;
}

void Mutator::MutateOnce(std::string* bytes, std::span<const std::string> others) {
  const size_t at = Below(bytes->size() + 1);
  const size_t length =
      Below(std::min<uint64_t>(bytes->size() - at, Below(4) == 0 ? 4096 : 32) + 1);
  switch (Below(9)) {
    case 0:
      if (at < bytes->size()) (*bytes)[at] = static_cast<char>((*bytes)[at] ^ (1 << Below(8)));
      break;
    case 1:
      if (at < bytes->size()) (*bytes)[at] = static_cast<char>(Below(256));
      break;
    case 2:
      bytes->erase(at, length);
      break;
    case 3:
      bytes->insert(at, bytes->substr(Below(bytes->size() + 1), length));
      break;
    case 4:
      bytes->resize(at);
      break;
    case 5: {
      const std::string number = InterestingNumber();
      bytes->replace(at, std::min(number.size(), bytes->size() - at), number);
      break;
    }
    case 6:
      bytes->insert(at, InterestingNumber());
      break;
    case 7:
      if (!others.empty()) {
        const std::string& other = others[Below(others.size())];
        bytes->replace(at, length, other.substr(Below(other.size() + 1), Below(256)));
      }
      break;
    default:
      std::fill_n(bytes->begin() + static_cast<ptrdiff_t>(at), length,
                  static_cast<char>(Below(256)));
  }
  if (bytes->size() > kMaxInputBytes) bytes->resize(kMaxInputBytes);
}

std::string Mutator::Mutate(std::string bytes, std::span<const std::string> others) {
  for (uint64_t left = 1 + Below(6); left > 0; --left) MutateOnce(&bytes, others);
  return bytes;
}

uint64_t Decisions::Number(size_t bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes && !input_.empty(); ++i) {
    number = number << 8 | static_cast<unsigned char>(input_[0]);
    input_.remove_prefix(1);
  }
  return number;
}

std::string Decisions::Bytes(size_t most) {
  const std::string bytes(input_.substr(0, Below(most + 1)));
  input_.remove_prefix(bytes.size());
  return bytes;
}

void Fuzz(const std::string& name, const std::vector<std::string>& seeds,
          const std::function<void(const std::string& input)>& target) {
  const uint64_t seed = FromEnvironment("VELAFS_FUZZ_SEED", std::random_device{}());
  const std::chrono::seconds time(FromEnvironment("VELAFS_FUZZ_SECONDS", 1));
  INFO("target ", name, ", VELAFS_FUZZ_SEED=", seed);
  std::vector<std::string> inputs = CorpusOf(name);
  inputs.insert(inputs.end(), seeds.begin(), seeds.end());
  REQUIRE_FALSE(inputs.empty());
  Underway underway(name);
  const auto run = [&](const std::string& input) {
    underway.Note(input);
    target(input);
  };
  for (const std::string& input : inputs) run(input);
  uint64_t count = 0;
  const auto end = std::chrono::steady_clock::now() + time;
  for (; std::chrono::steady_clock::now() < end; ++count) {
    Mutator mutator(seed + count);
    const std::string& input = inputs[(seed + count) % inputs.size()];
    run(mutator.Mutate(input, inputs));
  }
  MESSAGE(name << ": " << inputs.size() << " inputs and " << count
               << " mutations, VELAFS_FUZZ_SEED=" << seed);
}

}  // namespace velafs::test
