// Fuzzing that is kept: seeds are mutated, a target takes each, and may refuse it but not crash,
// hang or break a rule of its own.
//
//   VELAFS_FUZZ_SECONDS=3600   how long each target is tried (1)
//   VELAFS_FUZZ_SEED=N         repeats a run; the seed is printed
//
// What is in tests/fuzz/corpus/TARGET/ is tried first, each time: inputs that once did harm. The
// input under way is in $TMPDIR/velafs-fuzz-TARGET: after a crash or a hang it is the one to keep
// there.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace velafs::test {

// Changes bytes as bad disks, wrong programs and hostile users do. One thread.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}
  // Some changes, of which each may be anywhere. `others` are inputs to take pieces from.
  std::string Mutate(std::string bytes, std::span<const std::string> others);

 private:
  uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }
  void MutateOnce(std::string* bytes, std::span<const std::string> others);
  std::string InterestingNumber();

  std::mt19937_64 random_;
};

// Decisions that the bytes of an input stand for; zeros when there are no more.
class Decisions {
 public:
  explicit Decisions(std::string_view input) : input_(input) {}
  bool any_left() const { return !input_.empty(); }
  uint64_t Number(size_t bytes);
  uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : Number(4) % limit; }
  template <typename T>
  const T& OneOf(const std::vector<T>& choices) {
    return choices[Below(choices.size())];
  }
  // Of at most that length.
  std::string Bytes(size_t most);

 private:
  std::string_view input_;
};

// Runs `target` on what is in its corpus, on the seeds and, until the time is up, on mutations of
// them.
void Fuzz(const std::string& name, const std::vector<std::string>& seeds,
          const std::function<void(const std::string& input)>& target);

}  // namespace velafs::test
