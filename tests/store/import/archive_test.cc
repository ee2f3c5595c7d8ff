// Imports of archives, as their members come.
#include <algorithm>

#include "tests/store/store_fixture.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/import/member_stream.h"
#include "velafs/store/scrub/scrub.h"

namespace velafs::store {
namespace {

using namespace test;
using MemberKind = Member::Kind;

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

struct ArchiveFixture : StoreFixture {
  ArchiveFixture() {
    File("PG_VERSION", "15\n");
    File("postgresql.conf", "include_dir 'conf.d'\n");
    File("global/pg_control", Noise(8192, 1));
  }
  void Put(MemberKind kind, const std::string& path, const std::string& target = "",
           uint32_t mode = 0700) {
    REQUIRE(writer.Put({kind, path, target, mode, 5, 6, 7'000'000'000, 0}).ok());
  }
  void File(const std::string& path, const std::string& content, uint32_t mode = 0600) {
    Sparse(path, content.size(), {{0, content}}, mode);
  }
  void Sparse(const std::string& path, uint64_t size,
              const std::vector<std::pair<uint64_t, std::string>>& blocks, uint32_t mode = 0600) {
    REQUIRE(writer.Put({MemberKind::kFile, path, "", mode, 5, 6, 7'000'000'000, size}).ok());
    for (const auto& [offset, content] : blocks) {
      REQUIRE(writer.PutBlock({offset, BytesOf(content)}).ok());
    }
  }
  std::string Whole() {
    REQUIRE(writer.End({}).ok());
    return stream;
  }
  Result<ImportResult> ImportStream(const std::string& bytes, const Caller& who) {
    size_t at = 0;
    const ReadFn read = [&](std::span<std::byte> into) -> Result<size_t> {
      const size_t count = std::min(into.size(), bytes.size() - at);
      std::ranges::copy(BytesOf(bytes).subspan(at, count), into.begin());
      at += count;
      return count;
    };
    return store->imports().ImportArchive(who, "main", "a.tar", read, nullptr);
  }
  void ImportAll() {
    const auto result = ImportStream(Whole(), caller);
    REQUIRE_MESSAGE(result.ok(), result.status().message());
  }
  // In these words, and nothing is left.
  void CheckRefused(const std::string& why, Code code = Code::kRefused) {
    const auto result = ImportStream(Whole(), caller);
    REQUIRE_FALSE(result.ok());
    CHECK(result.status().code() == code);
    CheckMessage(result.status(), "cannot import \"a.tar\" as \"main\": ");
    CheckMessage(result.status(), why);
    CheckIsEmpty();
  }
  void CheckContent(const std::string& path, const std::string& content) {
    const Tree tree = BranchTree("main");
    const auto found = tree.find(path);
    REQUIRE_MESSAGE(found != tree.end(), path);
    CHECK_MESSAGE(found->second.ends_with(" " + ContentOf(content)), found->second);
  }

  std::string stream;
  MemberWriter writer{[this](std::span<const std::byte> bytes) -> Status {
    stream.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }};
};

TEST_CASE_FIXTURE(ArchiveFixture, "an archive's includes of files elsewhere are named") {
  File("postgresql.auto.conf", "");
  File("conf.d/a.conf", "include '/etc/a.conf'\n");
  File("postgresql.conf.d/b.conf", "include '/etc/b.conf'\n");  // nothing includes it
  const auto result = ImportStream(Whole(), caller);
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  REQUIRE(result->warnings.size() == 1);
  CHECK(result->warnings[0].starts_with("\"conf.d/a.conf\" includes \"/etc/a.conf\""));
  CheckContent("conf.d/a.conf", "include '/etc/a.conf'\n");
}

TEST_CASE_FIXTURE(ArchiveFixture, "files of every size and shape are stored as they come") {
  const std::string small = Noise(100, 3);
  const std::string large = Noise(3'000'000, 4);
  File("base/empty", "");
  File("base/small", small);
  File("base/large", large);
  Sparse("base/holes", 200'000'000, {{70'000'001, small}, {140'000'000, large}});
  Sparse("base/hole", 70'000'000, {});
  File("base/again", large);
  ImportAll();
  CheckContent("base/empty", "");
  CheckContent("base/small", small);
  CheckContent("base/large", large);
  CheckContent("base/again", large);
  CheckContent("base/hole", std::string(70'000'000, '\0'));
  std::string holes(200'000'000, '\0');
  holes.replace(70'000'001, small.size(), small);
  holes.replace(140'000'000, large.size(), large);
  CheckContent("base/holes", holes);
}

TEST_CASE_FIXTURE(ArchiveFixture, "what a server makes anew is left out of an archive, too") {
  File("postmaster.pid", "1\n");
  File("postmaster.opts", "x");
  File("pg_replslot/slot/state", "x");
  File("base/pgsql_tmp/pgsql_tmp1.0", "x");
  File("pg_tblspc/1/PG_15/5/1", "kept");
  File("pg_tblspc/1/foreign", "x");
  File("postgresql.auto.conf", "");
  ImportAll();
  const Tree tree = BranchTree("main");
  for (const char* path : {"postmaster.pid", "postmaster.opts", "pg_replslot/slot",
                           "pg_replslot/slot/state", "base/pgsql_tmp", "pg_tblspc/1/foreign"}) {
    CHECK_MESSAGE(!tree.contains(path), path);
  }
  CHECK(tree.contains("pg_replslot"));
  CheckContent("pg_tblspc/1/PG_15/5/1", "kept");
  CheckContent("postgresql.auto.conf", "\nallow_in_place_tablespaces = on\n");
  CHECK(store::ScrubOpenStore(store->context(), {}, nullptr).ok());
}

TEST_CASE_FIXTURE(ArchiveFixture, "an archive of a server that may have run is told of") {
  bool is_packed_as_it_ran = false;
  SUBCASE("packed as it ran") {
    File("postmaster.pid", "1\n");
    is_packed_as_it_ran = true;
  }
  SUBCASE("stopped") {}
  SUBCASE("a base backup") {
    File("postmaster.pid", "1\n");
    File("backup_label", "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n");
    File("pg_wal/000000010000000000000002", "wal");
  }
  const auto result = ImportStream(Whole(), caller);
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  const bool is_told = std::ranges::any_of(result->warnings, [](const std::string& warning) {
    return warning.starts_with("it has a postmaster.pid");
  });
  CHECK(is_told == is_packed_as_it_ran);
}

TEST_CASE_FIXTURE(ArchiveFixture, "a file keeps its other names when its first is left out") {
  File("pg_notify/0000", "kept");
  Put(MemberKind::kHardLink, "one", "pg_notify/0000");
  Put(MemberKind::kHardLink, "two", "./one");
  ImportAll();
  CheckContent("one", "kept");
  CheckContent("two", "kept");
  CHECK_FALSE(BranchTree("main").contains("pg_notify/0000"));
}

TEST_CASE_FIXTURE(ArchiveFixture,
                  "an export of an earlier version has its tablespaces brought in") {
  Put(MemberKind::kSymlink, "pg_tblspc/16384", "../velafs_tablespaces/16384");
  File("velafs_tablespaces/16384/PG_15/5/1", "kept");
  File("postgresql.auto.conf", "");
  ImportAll();
  CheckContent("pg_tblspc/16384/PG_15/5/1", "kept");
  CHECK_FALSE(BranchTree("main").contains("velafs_tablespaces"));
}

TEST_CASE("all files of an archive are the caller's, unless that is root") {
  ArchiveFixture fixture;
  fixture.Put(MemberKind::kDirectory, "base");
  const auto imported = fixture.ImportStream(fixture.Whole(), {1234, "somebody", 4321});
  REQUIRE_MESSAGE(imported.ok(), imported.status().message());
  for (const auto& file : fixture.BranchTree("main")) {
    CHECK_MESSAGE(file.second.find("1234:4321") != std::string::npos, file.second);
  }
}

TEST_CASE_FIXTURE(ArchiveFixture,
                  "members that cannot be imported are refused, and nothing is left") {
  File("base/1", Noise(100'000, 5));
  SUBCASE("a path up") {
    File("base/../../x", "x");
    CheckRefused("leads out of the archive");
  }
  SUBCASE("a path from the root") {
    File("/etc/passwd", "x");
    CheckRefused("\"/etc/passwd\" is a path from the root");
  }
  SUBCASE("no path") {
    File("", "x");
    CheckRefused("a member without a name");
  }
  SUBCASE("a zero byte") {
    File(std::string("a\0b", 3), "x");
    CheckRefused("a zero byte in a name");
  }
  SUBCASE("a long name") {
    File(std::string(256, 'n'), "x");
    CheckRefused("more than 255 bytes");
  }
  SUBCASE("a deep path") {
    std::string deep;
    for (int i = 0; i < 2049; ++i) deep += "d/";
    File(deep + "x", "x");
    CheckRefused("more than 4096 bytes");
  }
  SUBCASE("a file in a file") {
    File("base/1/x", "x");
    CheckRefused("\"base/1\" is not a directory");
  }
  SUBCASE("a file behind a link") {
    Put(MemberKind::kSymlink, "link", "base");
    File("link/x", "x");
    CheckRefused("\"link\" is not a directory");
  }
  SUBCASE("a file twice") {
    File("./base//1", "x");
    CheckRefused("\"./base//1\" is in the archive twice");
  }
  SUBCASE("a hard link to what comes later") {
    Put(MemberKind::kHardLink, "other", "base/2");
    CheckRefused("\"other\" is a hard link to \"base/2\", which is not in the archive before it");
  }
  SUBCASE("a hard link to itself") {
    Put(MemberKind::kHardLink, "other", "other");
    CheckRefused("which is not in the archive before it");
  }
  SUBCASE("a hard link to a link") {
    Put(MemberKind::kSymlink, "base/link", "1");
    Put(MemberKind::kHardLink, "other", "base/link");
    CheckRefused("which is no file");
  }
  SUBCASE("a link that leads out") {
    Put(MemberKind::kSymlink, "base/link", "../../x");
    CheckRefused("\"base/link\" leads to \"../../x\", out of the archive");
  }
  SUBCASE("a link to a path of the machine") {
    Put(MemberKind::kSymlink, "link", "/etc/shadow");
    CheckRefused("out of the archive");
  }
  SUBCASE("a link of a tablespace") {
    Put(MemberKind::kSymlink, "pg_tblspc/16384", "../base");
    CheckRefused("tablespace 16384 would be missing");
  }
  SUBCASE("a file that is too large") {
    Sparse("base/2", kMaxFileBytes + 1, {});
    CheckRefused("larger than 64 TiB");
  }
  SUBCASE("WAL that is too large") {
    Sparse("pg_wal/000000010000000000000001", (uint64_t{1} << 30) + 1, {});
    CheckRefused("larger than a WAL segment can be");
  }
  SUBCASE("WAL that is another name of a file") {
    Put(MemberKind::kHardLink, "pg_wal/000000010000000000000001", "base/1");
    CheckRefused("is not a WAL segment of its own");
  }
  SUBCASE("a file instead of the top") {
    File("./", "x");
    CheckRefused("the top of the archive is not a directory");
  }
  SUBCASE("a failure of the archive") {
    REQUIRE(writer.End(Failed("damaged tar header")).ok());
    CheckRefused("damaged tar header", Code::kFailed);
  }
}

TEST_CASE_FIXTURE(ArchiveFixture, "setuid and setgid bits of an archive's files are left out") {
  File("base/1", "x", 06755);
  Put(MemberKind::kDirectory, "base/2", "", 07755);
  ImportAll();
  const Tree tree = BranchTree("main");
  CHECK_MESSAGE(tree.at("base/1").find("755") != std::string::npos, tree.at("base/1"));
  CHECK_MESSAGE(tree.at("base/1").find("6755") == std::string::npos, tree.at("base/1"));
  CHECK_MESSAGE(tree.at("base/2").find("3755") != std::string::npos, tree.at("base/2"));
}

TEST_CASE_FIXTURE(ArchiveFixture, "a stream that is cut short is refused, and leaves nothing") {
  File("base/1", Noise(100'000, 5));
  File("pg_wal/000000010000000000000002", Noise(20'000, 6));
  const std::string whole = Whole();
  for (const size_t size : {size_t{0}, size_t{3}, size_t{40}, whole.size() / 2, whole.size() - 1}) {
    CHECK(ImportStream(whole.substr(0, size), caller).status().code() == Code::kFailed);
  }
  CheckIsEmpty();
}

}  // namespace
}  // namespace velafs::store
