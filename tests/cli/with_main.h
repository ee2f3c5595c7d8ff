// A store with one branch, "main".
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "tests/api/data_directory.h"
#include "tests/cli/run_velafs.h"

namespace velafs::test {

struct WithMain {
  WithMain() {
    velafs.Done({"init"});
    CHECK(velafs.Done({"import", "main", "--from-dir", data})["protected"] == true);
    velafs.Done({"unprotect", "main"});
  }
  Velafs velafs;
  std::string data = MakeDataDirectory(velafs.scratch / "data");
};

}  // namespace velafs::test
