// What the filesystem's own work costs, without a kernel and a disk's sync in between: looking up a
// name, reading a page at some depth, writing one, freezing, reading a chunk.
#define DOCTEST_CONFIG_IMPLEMENT
#include <benchmark/benchmark.h>
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/layer/volume_fixture.h"
#include "tests/store/branches_fixture.h"
#include "velafs/chunk/codec.h"

namespace velafs {
namespace {

using layer::VolumeFixture;

constexpr uint64_t kFilePages = 1024;

// Rows of a table, of a kind: not all alike, and not random either.
std::string Content(uint64_t pages) {
  std::string text;
  for (uint64_t row = 0; text.size() < pages * kPageBytes; ++row) {
    text +=
        std::to_string(row * 7919 % 100'000) + "\tan account of somebody\t" + std::string(40, ' ');
  }
  text.resize(pages * kPageBytes);
  return text;
}

// A branch on a chain of `depth` layers, each with a page of its own.
struct Chain {
  explicit Chain(int64_t depth) {
    fixture.MakeSource("main", {{"file", Content(kFilePages)}});
    for (int64_t i = 0; i < depth; ++i) {
      Write(static_cast<uint64_t>(i) % kFilePages);
      REQUIRE(fixture.Clone("main", "clone" + std::to_string(i)).ok());
    }
    branch = fixture.Open("main");
    ino = InodeOf(*branch, "file");
  }
  void Write(uint64_t page) {
    const auto main = fixture.Open("main");
    REQUIRE(main->Write(InodeOf(*main, "file"), page * kPageBytes, std::as_bytes(std::span(text)))
                .ok());
  }

  VolumeFixture fixture;
  const std::string text = std::string(kPageBytes, 'x');
  std::shared_ptr<layer::Branch> branch;
  InodeNumber ino;
};

void Lookup(benchmark::State& state) {
  Chain chain(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(chain.branch->Lookup(chain.branch->root(), "file"));
}
BENCHMARK(Lookup)->Arg(1)->Arg(1000);

void ReadPage(benchmark::State& state) {
  Chain chain(state.range(0));
  std::vector<std::byte> page(kPageBytes);
  uint64_t at = 0;
  for (auto _ : state) {
    at = (at + 617) % kFilePages;
    benchmark::DoNotOptimize(chain.branch->Read(chain.ino, at * kPageBytes, page));
  }
}
BENCHMARK(ReadPage)->Arg(1)->Arg(10)->Arg(100)->Arg(1000);

void WritePage(benchmark::State& state) {
  Chain chain(1);
  const bool first_touch = state.range(0) != 0;
  uint64_t at = 0;
  for (auto _ : state) {
    if (first_touch && at % kFilePages == 0) {
      state.PauseTiming();
      REQUIRE(chain.fixture.Clone("main", "next" + std::to_string(at)).ok());
      state.ResumeTiming();
    }
    const uint64_t page = first_touch ? at++ % kFilePages : 7;
    benchmark::DoNotOptimize(
        chain.branch->Write(chain.ino, page * kPageBytes, std::as_bytes(std::span(chain.text))));
  }
}
BENCHMARK(WritePage)->ArgName("first_touch")->Arg(0)->Arg(1);

void Freeze(benchmark::State& state) {
  Chain chain(1);
  int64_t clones = 0;
  for (auto _ : state) {
    state.PauseTiming();
    for (int64_t page = 0; page < state.range(0); ++page) chain.Write(static_cast<uint64_t>(page));
    state.ResumeTiming();
    REQUIRE(chain.fixture.Clone("main", "frozen" + std::to_string(clones++)).ok());
  }
}
BENCHMARK(Freeze)
    ->ArgName("pages")
    ->Arg(0)
    ->Arg(1)
    ->Arg(100)
    ->Unit(benchmark::kMicrosecond)
    ->Iterations(200);

void ReadChunk(benchmark::State& state) {
  const bool is_verified = state.range(0) != 0;
  const bool is_compressed = state.range(1) != 0;
  char pattern[] = "/tmp/velafs-benchmark-XXXXXX";
  const std::string directory = mkdtemp(pattern);
  const std::string text = Content(kPagesPerChunk);
  const auto content = std::as_bytes(std::span(text));
  const std::vector<std::byte> payload = chunk::Compress(content, {.zstd_level = 3});
  const ChunkId id = chunk::HashChunk(content);
  auto writer = chunk::PackWriter::Create(os::HostStorage(), directory, PackId(1));
  REQUIRE(writer.ok());
  // More than are kept decompressed.
  std::vector<ChunkLocation> chunks;
  for (int i = 0; i < 2000; ++i) {
    chunks.push_back(
        is_compressed
            ? (*writer)->Reserve(kChunkBytes, static_cast<uint32_t>(payload.size()), Codec::kZstd)
            : (*writer)->Reserve(kChunkBytes));
    REQUIRE((*writer)
                ->Write(id, chunks.back(),
                        is_compressed ? std::span<const std::byte>(payload) : content)
                .ok());
  }
  REQUIRE((*writer)->Finish().ok());
  chunk::PackReader reader(os::HostStorage(), directory);
  std::vector<std::byte> page(kPageBytes);
  size_t at = 0;
  for (auto _ : state) {
    const ChunkLocation& location = chunks[at++ % chunks.size()];
    benchmark::DoNotOptimize(is_verified ? reader.ReadVerified(location, id, 3 * kPageBytes, page)
                                         : reader.Read(location, 3 * kPageBytes, page));
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK(ReadChunk)->ArgNames({"verified", "zstd"})->ArgsProduct({{0, 1}, {0, 1}});

uint64_t StatusBytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stoull(line.substr(field.size() + 1)) << 10;
  }
  return 0;
}

// All files of so many clones, of 1,000 files each, are looked at and stay known to the kernel, as
// by `du`. Memory is that of the whole process.
void WalkBranches(benchmark::State& state) {
  constexpr int kFiles = 1000;
  std::map<std::string, std::string> files;
  for (int i = 0; i < kFiles; ++i) files["file" + std::to_string(i)] = "content";
  for (auto _ : state) {
    state.PauseTiming();
    VolumeFixture fixture;
    fixture.MakeSource("main", files);
    for (int64_t i = 0; i < state.range(0); ++i) {
      REQUIRE(fixture.Clone("main", "clone" + std::to_string(i)).ok());
    }
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew
    state.ResumeTiming();
    uint64_t seen = 0;
    for (int64_t i = 0; i < state.range(0); ++i) {
      const auto branch = fixture.Open("clone" + std::to_string(i));
      std::vector<InodeNumber> inodes;
      const auto see = [&inodes](layer::DirectoryCookie, const std::string&,
                                 const layer::Attributes& attributes) {
        inodes.push_back(attributes.ino);
        return true;
      };
      REQUIRE(branch->List(branch->root(), 0, see).ok());
      for (const InodeNumber ino : inodes) branch->Retain(ino);
      seen += inodes.size();
    }
    state.counters["inodes"] = static_cast<double>(seen);
    state.counters["peak_MB"] = static_cast<double>(StatusBytes("VmHWM")) / (1 << 20);
  }
}
BENCHMARK(WalkBranches)
    ->ArgName("branches")
    ->Arg(100)
    ->Arg(1000)
    ->Arg(10'000)
    ->Unit(benchmark::kSecond)
    ->Iterations(1);

// 16 clients clone at once, of so many branches, each of which has files that nobody has synced.
// Syncs count here: the directory has to be on a disk.
void ClonesAtOnce(benchmark::State& state) {
  constexpr int kClients = 16;
  const auto sources = static_cast<int>(state.range(0));
  store::BranchesFixture fixture;
  const auto source = [sources](int client) { return "source" + std::to_string(client % sources); };
  for (int i = 0; i < sources; ++i) fixture.Clone("main", source(i));
  int round = 0;
  for (auto _ : state) {
    state.PauseTiming();
    ++round;
    for (int i = 0; i < sources; ++i) {
      layer::Branch& branch = fixture.Opened(source(i));
      for (int file = 0; file < 10; ++file) {
        const std::string name = "file" + std::to_string(round) + "-" + std::to_string(file);
        const auto made = branch.Make(branch.root(), name, {.mode = S_IFREG | 0600});
        REQUIRE(made.ok());
        const std::string text = Content(4);
        REQUIRE(branch.Write(made->ino, 0, std::as_bytes(std::span(text))).ok());
      }
    }
    state.ResumeTiming();
    std::vector<std::thread> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.emplace_back([&fixture, &source, round, i] {
        fixture.Clone(source(i), "clone" + std::to_string(round) + "-" + std::to_string(i));
      });
    }
    for (std::thread& client : clients) client.join();
  }
}
BENCHMARK(ClonesAtOnce)
    ->ArgName("sources")
    ->Arg(1)
    ->Arg(16)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(10);

}  // namespace
}  // namespace velafs

int main(int argc, char** argv) {
  doctest::Context context;  // for what the fixture requires
  context.setAsDefaultForAssertsOutOfTestCases();
  context.setAssertHandler([](const doctest::AssertData& data) {
    if (!data.m_failed) return;
    std::fprintf(stderr, "%s:%d: %s does not hold\n", data.m_file, data.m_line, data.m_expr);
    std::abort();
  });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
