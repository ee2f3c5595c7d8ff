#include "pgctl-wrapper/data/data_dir.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "pgctl-wrapper/config/ssl_files.h"
#include "pgctl-wrapper/process/text_file.h"

using namespace velafs;
using namespace velafs::pgctl;

namespace {

struct Directory {
  Directory() : dir(std::filesystem::temp_directory_path() / ("data-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(dir / "pg_logical");
  }
  ~Directory() { std::filesystem::remove_all(dir); }
  void Make(const std::string& name, const std::string& text, mode_t mode = 0600) {
    REQUIRE(WriteTextFile(dir / name, text).ok());
    REQUIRE(chmod((dir / name).c_str(), mode) == 0);
  }
  mode_t Mode() {
    struct stat info {};
    REQUIRE(stat(dir.c_str(), &info) == 0);
    return info.st_mode & 07777;
  }
  std::filesystem::path dir;
};

// A page of pg_database with one row.
std::string CatalogPage(const std::string& columns) {
  std::string page(8192, 0);
  const auto put = [&page](size_t offset, auto number) {
    std::memcpy(page.data() + offset, &number, sizeof number);
  };
  const size_t row = 8192 - 512;
  put(12, uint16_t{28});
  put(18, uint16_t{0x2004});
  put(24, static_cast<uint32_t>(row | (1U << 15) | (512U << 17)));
  put(row + 20, uint16_t{0x0b00});  // frozen, deleted by nobody
  page[row + 22] = 24;
  page.replace(row + 24, columns.size(), columns);
  return page;
}

std::string ShortText(const std::string& text) {
  return static_cast<char>(((text.size() + 1) << 1) | 1) + text;
}

// Of versions from 15 on.
std::string NewRow(const std::string& name, const std::string& collate, const std::string& ctype) {
  std::string columns(96, 0);
  columns.replace(4, name.size(), name);
  columns[78] = 1;
  return columns + ShortText(collate) + ShortText(ctype);
}

std::string OldRow(const std::string& name, const std::string& collate, const std::string& ctype) {
  std::string columns(240, 0);
  columns.replace(4, name.size(), name);
  columns.replace(76, collate.size(), collate);
  columns.replace(140, ctype.size(), ctype);
  columns[205] = 1;
  return columns;
}

constexpr char kNoLocale[] = "xx_YY.UTF-8";

}  // namespace

TEST_CASE("databases whose locale is not on this machine are found in their catalog's file") {
  const auto find = [](const std::string& row, int version) {
    const auto found = DatabasesWithoutLocaleIn(CatalogPage(row), version);
    return found.empty() ? std::string() : found[0].name + ":" + found[0].locale;
  };
  CHECK(find(NewRow("de", kNoLocale, "C"), 15) == "de:xx_YY.UTF-8");
  CHECK(find(NewRow("de", "C", kNoLocale), 17) == "de:xx_YY.UTF-8");
  CHECK(find(NewRow("plain", "C", "C.UTF-8"), 16).empty());
  CHECK(find(OldRow("old", kNoLocale, kNoLocale), 13) == "old:xx_YY.UTF-8");
  CHECK(find(OldRow("old", "C", "POSIX"), 14).empty());
  std::string closed = NewRow("template0", kNoLocale, kNoLocale);
  closed[78] = 0;
  CHECK(find(closed, 15).empty());
  CHECK(find("short", 15).empty());
}

TEST_CASE_FIXTURE(Directory, "a data directory that others may write to is closed to them") {
  struct Case {
    mode_t mode;
    mode_t mended;
  };
  for (const Case& it :
       {Case{0777, 0750}, {0775, 0750}, {0770, 0750}, {0755, 0750}, {0711, 0710}}) {
    CAPTURE(it.mode);
    REQUIRE(chmod(dir.c_str(), it.mode) == 0);
    const auto changed = MendDirectoryMode(dir);
    REQUIRE(changed.ok());
    REQUIRE(changed->has_value());
    CHECK(Mode() == it.mended);
  }
  for (const mode_t mode : {mode_t{0700}, mode_t{0750}}) {
    REQUIRE(chmod(dir.c_str(), mode) == 0);
    const auto changed = MendDirectoryMode(dir);
    REQUIRE(changed.ok());
    CHECK(!changed->has_value());
  }
}

TEST_CASE_FIXTURE(Directory, "a data directory of another user's than its data is refused") {
  Owner owner{geteuid(), getegid(), "me", "/"};
  CHECK(CheckDirectoryOwner(dir, owner).ok());
  owner.uid += 1;
  const Status refused = CheckDirectoryOwner(dir, owner);
  CHECK(refused.code() == Code::kRefused);
  CHECK(refused.hint() == "chown me " + dir.string());
}

TEST_CASE_FIXTURE(Directory, "replication origins are counted") {
  CHECK(CountReplicationOrigins(dir) == 0);
  Make("pg_logical/replorigin_checkpoint", std::string(8, 'x'));
  CHECK(CountReplicationOrigins(dir) == 0);
  Make("pg_logical/replorigin_checkpoint", std::string(8 + 15 * 16, 'x'));
  CHECK(CountReplicationOrigins(dir) == 15);
}

TEST_CASE_FIXTURE(Directory, "a key that the server would refuse is named with the reason") {
  const Settings own = {{"ssl_cert_file", "server.crt"}, {"ssl_key_file", "server.key"}};
  CHECK(SslProblem(own, dir) == "its certificate or key file is missing");
  Make("server.crt", "cert");
  Make("server.key", "-----BEGIN PRIVATE KEY-----");
  CHECK(SslProblem(own, dir).empty());
  Make("server.key", "-----BEGIN PRIVATE KEY-----", 0640);
  CHECK(SslProblem(own, dir) == "its key file is open to others");
  Make("server.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----");
  CHECK(SslProblem(own, dir) == "its key needs a passphrase");
}
TEST_CASE("a directory that is closed to the data's owner is named, with the way to open it") {
  const auto top = std::filesystem::temp_directory_path() / ("way-" + std::to_string(getpid()));
  const std::string closed = top / "closed";
  const std::string data = closed + "/store/mnt/main";
  std::filesystem::create_directories(data);
  chmod(top.c_str(), 0755);
  const bool is_root = geteuid() == 0;
  const uid_t user = is_root ? 65534 : geteuid();
  const Owner owner{user, is_root ? gid_t{65534} : getegid(), "somebody", "/"};

  chmod(closed.c_str(), is_root ? 0700 : 0600);
  const Status status = CheckWayTo(data, owner);
  CHECK(status.code() == Code::kRefused);
  CHECK(status.message().find("\"" + closed + "\" is closed to user \"somebody\"") !=
        std::string::npos);
  CHECK(status.hint().starts_with("chmod o+x " + closed + ","));

  chmod(closed.c_str(), 0711);
  CHECK(CheckWayTo(data, owner).ok());
  std::filesystem::remove_all(top);
}
