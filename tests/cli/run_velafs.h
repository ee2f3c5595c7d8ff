// The built velafs as its users see it: arguments in; output and exit status out.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/os/scratch_directory.h"
#include "tests/places.h"

namespace velafs::test {

struct Outcome {
  int exit_status = -1;
  std::string out;
  std::string err;

  // The one JSON document on standard output; a null when there is none, or more.
  nlohmann::json Json() const {
    nlohmann::json value = nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
    return value.is_discarded() ? nlohmann::json() : value;
  }
};

struct Process {
  pid_t pid = 0;
  std::string out_path;
  std::string err_path;
};

// The test fails if that does not come true in a minute.
template <typename Condition>
void WaitUntil(const Condition& is_true) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!is_true()) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    usleep(100);
  }
}

// Runs velafs on a store of its own, `store` under `scratch`. The environment is this process's,
// without what would choose another store.
class Velafs {
 public:
  Velafs() {
    unsetenv("VELAFS_STORE");
    setenv("NO_COLOR", "1", 1);
  }

  // With --store before the arguments.
  Outcome operator()(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--store", store()});
    return RunAs(arguments);
  }
  // A command that must succeed under --json; its document.
  nlohmann::json Done(std::vector<std::string> arguments) const {
    arguments.push_back("--json");
    const Outcome outcome = (*this)(arguments);
    REQUIRE_MESSAGE(outcome.exit_status == 0, outcome.err);
    CHECK_FALSE(outcome.Json().is_null());
    return outcome.Json();
  }

  // The arguments as they are.
  Outcome RunAs(const std::vector<std::string>& arguments) const { return Wait(Start(arguments)); }
  Process Start(const std::vector<std::string>& arguments) const {
    const std::string number = std::to_string(++started_);
    Process process{0, scratch / "stdout-" + number, scratch / "stderr-" + number};
    std::vector<std::string> words = {Binary()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, process.out_path.c_str(), kFlags,
                                     0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, process.err_path.c_str(), kFlags,
                                     0600);
    // A shell that runs the tests in the background has them ignore it, and with them all they
    // start.
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    const int error =
        posix_spawn(&process.pid, words[0].c_str(), &actions, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE_MESSAGE(error == 0, "cannot run " << words[0]);
    return process;
  }
  Outcome Wait(const Process& process) const {
    int wait_status = 0;
    while (waitpid(process.pid, &wait_status, 0) < 0) REQUIRE(errno == EINTR);
    REQUIRE_MESSAGE(WIFEXITED(wait_status), "killed by signal " << WTERMSIG(wait_status));
    return {WEXITSTATUS(wait_status), Content(process.out_path), Content(process.err_path)};
  }

  static std::string Content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::string store() const { return scratch / "store"; }
  ScratchDirectory scratch;

  // The program that is run.
  static std::string Binary() {
    const char* from_environment = std::getenv("VELAFS_BIN");
    return from_environment != nullptr ? from_environment : kVelafsProgram;
  }

 private:
  mutable int started_ = 0;
};

}  // namespace velafs::test
