// What comes from archives: their bytes, and the stream of members made of them.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "tests/fuzz/fuzz.h"
#include "tests/store/store_fixture.h"
#include "velafs/cli/archive_members.h"
#include "velafs/os/unique_fd.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/scrub/scrub.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::test {
namespace {

using store::Member;

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

ReadFn ReaderOf(const std::string& bytes) {
  return [&bytes, at = size_t{0}](std::span<std::byte> into) mutable -> Result<size_t> {
    const size_t count = std::min(into.size(), bytes.size() - at);
    std::ranges::copy(BytesOf(bytes).subspan(at, count), into.begin());
    at += count;
    return count;
  };
}

WriteFn WriterTo(std::string* stream) {
  return [stream](std::span<const std::byte> bytes) -> Status {
    stream->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  };
}

// A PGDATA of a base backup, made into an archive by tar with these options.
std::string Archive(const std::string& directory, const std::string& options) {
  const std::string tar = directory + "/archive";
  const std::string command =
      "cd " + directory + "/data && tar -c " + options + " -f " + tar + " .";
  REQUIRE(std::system(command.c_str()) == 0);
  return ReadHostFile(tar);
}

TEST_CASE("fuzz: an archive is parsed into a stream of members, or fails") {
  const ScratchDirectory scratch;
  const std::string data = scratch / "data";
  WriteHostFile(data + "/PG_VERSION", "15\n");
  WriteHostFile(data + "/backup_label",
                "START WAL LOCATION: 0/2 (file 000000010000000000000002)\n");
  WriteHostFile(data + "/tablespace_map", "16384 /srv/x\n");
  WriteHostFile(data + "/base/" + std::string(150, 'n') + "\xc3\xa4", Noise(3000, 1));
  WriteHostFile(data + "/base/sparse", "x");
  fs::resize_file(data + "/base/sparse", 300'000);
  fs::create_symlink("sparse", data + "/base/link");
  fs::create_hard_link(data + "/base/sparse", data + "/base/other");
  std::vector<std::string> seeds;
  for (const char* options :
       {"--format=posix --sparse", "--format=gnu --sparse", "--format=ustar --exclude=*nnn*",
        "--format=posix --gzip", "--format=gnu --bzip2"}) {
    seeds.push_back(Archive(scratch.path(), options));
  }
  Fuzz("archive", seeds, [&](const std::string& input) {
    const os::UniqueFd first(memfd_create("archive", MFD_CLOEXEC));
    REQUIRE(write(first.get(), input.data(), input.size()) == static_cast<ssize_t>(input.size()));
    REQUIRE(lseek(first.get(), 0, SEEK_SET) == 0);
    const os::UniqueFd other(fcntl(first.get(), F_DUPFD_CLOEXEC, 0));
    std::string stream;
    store::MemberWriter writer(WriterTo(&stream));
    const Status written =
        cli::WriteMembers({"base", first.get()}, {{"pg_wal", other.get()}}, writer);
    REQUIRE_MESSAGE(written.ok(), written.message());
    const ReadFn read = ReaderOf(stream);
    store::MemberReader reader(read);
    for (;;) {
      const auto member = reader.Next();
      if (!member.ok())
        CHECK_FALSE(member.status().message().starts_with("the input is not a stream"));
      if (!member.ok() || !*member) break;
    }
  });
}

TEST_CASE_FIXTURE(StoreFixture, "fuzz: a stream of members is imported or refused") {
  std::string whole;
  store::MemberWriter writer(WriterTo(&whole));
  const auto put = [&](Member::Kind kind, const std::string& path, const std::string& text) {
    Member member{kind, path, "", 0700, 5, 6, 7, 0};
    if (kind == Member::Kind::kFile) {
      member.size_bytes = text.size();
    } else {
      member.target = text;
    }
    REQUIRE(writer.Put(member).ok());
    if (member.size_bytes > 0) REQUIRE(writer.PutBlock({0, BytesOf(text)}).ok());
  };
  put(Member::Kind::kFile, "PG_VERSION", "15\n");
  put(Member::Kind::kFile, "global/pg_control", Noise(300, 1));
  put(Member::Kind::kFile, "postgresql.auto.conf", "");
  put(Member::Kind::kFile, "base/1", Noise(500, 2));
  put(Member::Kind::kSymlink, "base/link", "1");
  put(Member::Kind::kHardLink, "base/other", "base/1");
  put(Member::Kind::kDirectory, "pg_wal", "");
  put(Member::Kind::kFile, "pg_wal/000000010000000000000002", Noise(400, 3));
  put(Member::Kind::kSymlink, "pg_tblspc/16384", "../velafs_tablespaces/16384");
  put(Member::Kind::kFile, "velafs_tablespaces/16384/PG_15/5/1", "x");
  put(Member::Kind::kHardLink, "kept", "velafs_tablespaces/16384/PG_15/5/1");
  put(Member::Kind::kFile, "pg_notify/0000", "x");
  REQUIRE(writer.End({}).ok());
  Fuzz("members", {whole}, [&](const std::string& input) {
    const auto result =
        store->imports().ImportArchive(caller, "main", "a.tar", ReaderOf(input), nullptr);
    if (!result.ok()) {
      CHECK_FALSE(result.status().code() == Code::kCorrupt);
      return;
    }
    REQUIRE(store->branches().Unprotect(caller, "main").ok());
    REQUIRE(store->trash().Delete(caller, "main", {.purge = true}).ok());
  });
  REQUIRE(store->upkeep().CollectGarbage(caller, false, nullptr).ok());
  const auto report = store::ScrubOpenStore(store->context(), {}, nullptr);
  REQUIRE_MESSAGE(report.ok(), report.status().message());
  CHECK(report->corrupt.empty());
}

}  // namespace
}  // namespace velafs::test
