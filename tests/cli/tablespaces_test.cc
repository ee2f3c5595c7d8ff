// `velafs tablespaces`, and what other commands say of links that lead out of a branch.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cli/run_velafs.h"
#include "tests/store/store_fixture.h"

namespace velafs::test {
namespace {

using nlohmann::json;

struct WithLink {
  WithLink() {
    WriteHostFile(data + "/PG_VERSION", "15\n");
    WriteHostFile(data + "/global/pg_control", Noise(8192, 1));
    fs::create_directories(data + "/pg_tblspc");
    if (geteuid() == 0) {  // root's own data is not brought in
      REQUIRE(chown((data + "/PG_VERSION").c_str(), 4242, 4242) == 0);
      fs::permissions(velafs.scratch / "", fs::perms::owner_all | fs::perms::others_exe);
    }
    velafs.Done({"init"});
    velafs.Done({"import", "main", "--from-dir", data});
    WriteHostFile(outside + "/PG_15/1", "rows");
    MakeLink();
  }
  // As a server on the branch could, before the mount refused it.
  void MakeLink() {
    const auto store = store::Store::Open(velafs.store());
    REQUIRE_MESSAGE(store.ok(), store.status().message());
    const auto branch = (*store)->volume().Open("main");
    REQUIRE(branch.ok());
    const auto links = (*branch)->Lookup((*branch)->root(), "pg_tblspc");
    REQUIRE(links.ok());
    const layer::NewNode link{S_IFLNK | 0777, getuid(), getgid(), 0, outside};
    REQUIRE((*branch)->Make(links->ino, "16400", link).ok());
    REQUIRE((*store)->Close().ok());
  }
  json Listed() { return velafs.Done({"tablespaces", "main"})["tablespaces"]; }

  Velafs velafs;
  const std::string data = velafs.scratch / "data";
  const std::string outside = velafs.scratch / "outside";
};

TEST_CASE_FIXTURE(WithLink, "a link that leads out is listed, told by doctor, and brought in") {
  CHECK(Listed() == json::array({{{"oid", "16400"}, {"form", "leads out"}, {"target", outside}}}));
  CHECK(velafs({"tablespaces", "main"}).out ==
        "OID    FORM       TARGET\n16400  leads out  " + outside + "\n");
  const Outcome doctor = velafs({"doctor"});
  CHECK(doctor.exit_status == 1);
  CHECK(doctor.out.find("tablespace 16400 of branch \"main\" leads out of it, to \"" + outside +
                        "\"") != std::string::npos);
  CHECK(doctor.out.find("velafs tablespaces main --bring-in") != std::string::npos);
  CHECK(velafs({"export", "main", "--to-dir", velafs.scratch / "out"}).exit_status == 4);
  CHECK_FALSE(fs::exists(velafs.scratch / "out"));

  velafs.Done({"tablespaces", "main", "--bring-in"});
  CHECK(Listed() == json::array({{{"oid", "16400"}, {"form", "inside"}, {"target", nullptr}}}));
  CHECK(velafs({"doctor"}).out.find("16400") == std::string::npos);
  velafs.Done({"export", "main", "--to-dir", velafs.scratch / "out"});
  CHECK(ReadHostFile(velafs.scratch / "out/pg_tblspc/16400/PG_15/1") == "rows");
  CHECK(ReadHostFile(outside + "/PG_15/1") == "rows");
}

TEST_CASE_FIXTURE(WithLink, "a link to what is gone is dropped, and that is in the audit log") {
  CHECK(velafs({"tablespaces", "main", "--drop", "16400"}).exit_status == 4);
  fs::remove_all(outside);
  const Outcome brought_in = velafs({"tablespaces", "main", "--bring-in"});
  CHECK(brought_in.exit_status == 1);
  CHECK(brought_in.err.find("cannot repair the tablespaces of \"main\": tablespace 16400") !=
        std::string::npos);
  CHECK(brought_in.err.find("hint: --drop 16400 removes the link") != std::string::npos);
  CHECK(velafs.Done({"tablespaces", "main", "--drop", "16400"})["tablespaces"].empty());
  CHECK(velafs({"tablespaces", "main", "--drop", "16400"}).exit_status == 3);
  CHECK(velafs({"tablespaces", "none"}).exit_status == 3);
  CHECK(velafs({"tablespaces", "main", "--bring-in", "--drop", "1"}).exit_status == 2);
  const json entries = velafs.Done({"audit", "--verb", "tablespaces-drop"})["entries"];
  CHECK(entries.size() == 3);
}

}  // namespace
}  // namespace velafs::test
