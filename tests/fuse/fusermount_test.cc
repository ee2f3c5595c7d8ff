#include "velafs/fuse/fusermount.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "tests/os/scratch_directory.h"

namespace velafs::fuse {
namespace {

// PATH leads to this one alone, which does what `text` says.
class FakeFusermount {
 public:
  explicit FakeFusermount(const std::string& text) : old_path_(std::getenv("PATH")) {
    const std::string program = directory_ / "fusermount3";
    std::ofstream(program) << "#!/bin/sh\nPATH=" << old_path_ << "\n" << text << "\n";
    REQUIRE(chmod(program.c_str(), 0755) == 0);
    setenv("PATH", directory_.path().c_str(), 1);
  }
  ~FakeFusermount() { setenv("PATH", old_path_.c_str(), 1); }

 private:
  const test::ScratchDirectory directory_;
  const std::string old_path_;
};

// While it lives, system calls that wait are interrupted again and again.
class Interruptions {
 public:
  Interruptions() {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    REQUIRE(sigaction(SIGALRM, &action, &before_) == 0);
    Repeat(2000);
  }
  ~Interruptions() {
    Repeat(0);
    sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  static void Repeat(int every_us) {
    const itimerval timer{.it_interval = {0, every_us}, .it_value = {0, every_us}};
    REQUIRE(setitimer(ITIMER_REAL, &timer, nullptr) == 0);
  }

  struct sigaction before_ = {};
};

bool HasZombie() {
  siginfo_t ended = {};
  return waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0;
}

TEST_CASE("fusermount3 is waited for through signals, and leaves no zombie") {
  const FakeFusermount slow("trap '' ALRM; sleep 0.1");
  {
    const Interruptions interruptions;
    CHECK(RunFusermount({"-u", "/nowhere"}));
  }
  CHECK_FALSE(HasZombie());
}

TEST_CASE("fusermount3 that fails, or is not there, has failed") {
  {
    const FakeFusermount failing("exit 1");
    CHECK_FALSE(RunFusermount({"-u", "/nowhere"}));
  }
  const test::ScratchDirectory empty;
  const std::string old_path = std::getenv("PATH");
  setenv("PATH", empty.path().c_str(), 1);
  CHECK_FALSE(RunFusermount({"-u", "/nowhere"}));
  setenv("PATH", old_path.c_str(), 1);
}

}  // namespace
}  // namespace velafs::fuse
