#include "pgctl-wrapper/server/log_rotation.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "pgctl-wrapper/process/text_file.h"

using namespace velafs;
using namespace velafs::pgctl;

namespace {

// A run directory of a server that has its log open, as postgres has.
class Server {
 public:
  Server() {
    char name[] = "/tmp/velapg-rotation-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    run_dir_ = {name, name};
    log_.Reset(open(run_dir_.Log().c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    REQUIRE(log_);
  }
  ~Server() { std::filesystem::remove_all(run_dir_.path); }
  const RunDir& run_dir() const { return run_dir_; }
  void Say(const std::string& text) {
    REQUIRE(write(log_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  std::string Text(const std::string& suffix) const {
    const Result<std::string> text = ReadTextFile(run_dir_.Log() + suffix);
    return text.ok() ? *text : "(none)";
  }

 private:
  RunDir run_dir_;
  UniqueFd log_;
};

}  // namespace

TEST_CASE("a log is put aside while its server goes on writing to it") {
  Server server;
  server.Say("before\n");
  const auto rotated = RotateLog(server.run_dir());
  REQUIRE(rotated.ok());
  CHECK(*rotated == 7);
  CHECK(server.Text(".1") == "before\n");
  server.Say("after\n");
  CHECK(server.Text("") == "after\n");
  REQUIRE(RotateLog(server.run_dir()).ok());
  CHECK(server.Text(".1") == "after\n");
  CHECK(*RotateLog(server.run_dir()) == 0);
  CHECK(server.Text(".1") == "after\n");  // an empty log replaces none
}

TEST_CASE("of a log larger than 64 MiB the last 64 MiB are kept") {
  Server server;
  REQUIRE(truncate(server.run_dir().Log().c_str(), 100 << 20) == 0);
  server.Say("the end");
  REQUIRE(RotateLog(server.run_dir()).ok());
  struct stat info {};
  REQUIRE(stat((server.run_dir().Log() + ".1").c_str(), &info) == 0);
  CHECK(info.st_size == 64 << 20);
  CHECK(server.Text("").empty());
}

TEST_CASE("no link and no FIFO is followed or waited for when logs are put aside") {
  Server server;
  const std::string log = server.run_dir().Log();
  const std::string target = server.run_dir().path + "/target";
  REQUIRE(WriteTextFile(target, "precious").ok());
  REQUIRE(unlink(log.c_str()) == 0);
  REQUIRE(symlink(target.c_str(), log.c_str()) == 0);
  CHECK(RotateLog(server.run_dir()).status().code() == Code::kRefused);
  REQUIRE(unlink(log.c_str()) == 0);
  REQUIRE(mkfifo(log.c_str(), 0600) == 0);
  CHECK(RotateLog(server.run_dir()).status().code() == Code::kRefused);
  REQUIRE(unlink(log.c_str()) == 0);
  REQUIRE(WriteTextFile(log, "lines\n").ok());
  REQUIRE(symlink(target.c_str(), (log + ".1.new").c_str()) == 0);
  REQUIRE(symlink(target.c_str(), (log + ".1").c_str()) == 0);
  REQUIRE(RotateLog(server.run_dir()).ok());
  CHECK(server.Text(".1") == "lines\n");
  CHECK(*ReadTextFile(target) == "precious");
  REQUIRE(unlink(log.c_str()) == 0);
  CHECK(*RotateLog(server.run_dir()) == 0);  // there is none
}
