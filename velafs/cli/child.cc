#include "velafs/cli/child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "velafs/os/unique_fd.h"

namespace velafs::cli {

Result<Child> RunChild(std::vector<std::string> words, ChildMessages messages) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError(errno, "cannot make a pipe");
  const os::UniqueFd read_end(ends[0]);
  os::UniqueFd write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  if (messages == ChildMessages::kDropped) {
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  }
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) {
    return NotFound("there is no program \"" + words[0] + "\"", "install it, or set $PATH");
  }
  if (error != 0) return SystemError(error, "cannot run \"" + words[0] + "\"");
  write_end.Reset();

  Child child;
  char buffer[65536];
  for (;;) {
    const ssize_t count = read(read_end.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    child.out.append(buffer, static_cast<size_t>(count));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  child.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return child;
}

}  // namespace velafs::cli
