// Deleting branches by names, patterns and labels, and bringing them back.
#include <doctest/doctest.h>

#include <string>

#include "tests/cli/with_main.h"

namespace velafs::test {
namespace {

using nlohmann::json;

TEST_CASE_FIXTURE(WithMain, "a dry run of delete deletes nothing") {
  const Outcome outcome = velafs({"delete", "main", "--dry-run"});
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.out.starts_with("would delete \"main\""));
  CHECK(velafs.Done({"list"})["branches"].size() == 1);
}

TEST_CASE_FIXTURE(WithMain, "a mistake in one name of delete deletes nothing") {
  velafs.Done({"clone", "main", "a"});
  CHECK(velafs({"delete", "a", "main", "typo"}).exit_status == 3);
  CHECK(velafs.Done({"list"})["branches"].size() == 2);
  CHECK(velafs.Done({"delete", "a", "main", "a"})["deleted"].size() == 2);
  CHECK(velafs.Done({"list"})["branches"].empty());
}

TEST_CASE_FIXTURE(WithMain, "a deleted branch is in the trash, and comes back or is purged") {
  velafs.Done({"clone", "main", "dev"});
  velafs.Done({"delete", "dev"});
  CHECK(velafs({"list", "--trash"}).out.starts_with("NAME  FROM  OWNER  DELETED  OWN\ndev   main"));
  CHECK(velafs({"undelete", "dev", "--as", "back"}).out == "brought back \"dev\" as \"back\"\n");
  velafs.Done({"delete", "back"});
  CHECK(velafs({"gc", "--older-than", "1d"}).exit_status == 2);
  CHECK(velafs({"gc"}).out == "freed 0 B\n");
  CHECK(velafs({"gc", "--trash", "--dry-run"}).out.starts_with("would purge \"back\", deleted 2"));
  CHECK(velafs.Done({"gc", "--trash"})["branches"].size() == 1);
  CHECK(velafs({"list", "--trash"}).out == "the trash is empty\n");
  CHECK(velafs({"undelete", "back"}).exit_status == 3);
  velafs.Done({"clone", "main", "dev"});
  CHECK(velafs.Done({"delete", "--purge", "dev"})["deleted"][0]["purged"] == true);
  CHECK(velafs.Done({"list", "--trash"})["branches"].empty());
}

TEST_CASE_FIXTURE(WithMain, "delete takes patterns, labels and owners") {
  for (const char* name : {"pr-1", "pr-2", "pr-3", "qa-1"}) {
    velafs.Done({"clone", "main", name, "--label", "ci=true"});
  }
  const json would = velafs.Done({"delete", "pr-*", "--dry-run"});
  CHECK(would["deleted"].size() == 3);
  CHECK(velafs.Done({"list"})["branches"].size() == 5);
  velafs.Done({"protect", "pr-2"});

  const Outcome some = velafs({"--json", "delete", "pr-*"});
  CHECK(some.exit_status == 4);
  CHECK(some.err.find("branch \"pr-2\" is protected") != std::string::npos);
  REQUIRE(some.Json().is_object());
  CHECK(some.Json()["deleted"].size() == 2);
  CHECK(some.Json()["refused"][0]["name"] == "pr-2");
  CHECK(some.Json()["refused"][0]["code"] == "refused");

  CHECK(velafs({"delete", "--label", "ci=false"}).exit_status == 3);
  CHECK(velafs({"delete", "--label", "ci=false", "--if-exists"}).exit_status == 0);
  CHECK(velafs({"delete"}).exit_status == 2);
  velafs.Done({"unprotect", "pr-2"});
  CHECK(velafs.Done({"delete", "--label", "ci=true", "--owner", "nobody", "--if-exists"})["deleted"]
            .empty());
  CHECK(velafs.Done({"rm", "--label", "ci=true"})["deleted"].size() == 2);
  CHECK(velafs.Done({"ls"})["branches"].size() == 1);
}

TEST_CASE_FIXTURE(WithMain, "who deletes a source is told of its clones, and of the way back") {
  velafs.Done({"clone", "main", "dev"});
  const std::string told = velafs({"delete", "main"}).out;
  CHECK(told.find("its clone stays") != std::string::npos);
  CHECK(told.find("within 7d: velafs undelete main\n") != std::string::npos);
  CHECK(velafs({"show", "main"}).err.find("it is in the trash: velafs undelete main") !=
        std::string::npos);
}

}  // namespace
}  // namespace velafs::test
