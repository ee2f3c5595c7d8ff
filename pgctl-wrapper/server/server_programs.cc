#include "pgctl-wrapper/server/server_programs.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <sstream>

#include "pgctl-wrapper/data/pg_version.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

// What `argv` prints, when it succeeds.
std::optional<std::string> OutputOf(std::vector<std::string> argv) {
  Command command;
  command.argv = std::move(argv);
  command.environment.insert_or_assign("LC_ALL", std::string("C"));
  const Result<Captured> captured = Capture(std::move(command));
  if (!captured.ok() || captured->exit_status != 0) return std::nullopt;
  return FirstLine(captured->out);
}

bool HasAnyServer(const std::string& bin_dir) {
  return access((bin_dir + "/postgres").c_str(), X_OK) == 0;
}

bool HasServer(const std::string& bin_dir, int version) {
  if (!HasAnyServer(bin_dir)) return false;
  const std::optional<std::string> banner = OutputOf({bin_dir + "/postgres", "-V"});
  return banner && ParseServerBanner(*banner) == version;
}

std::vector<std::string> PathDirectories() {
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "";
  std::vector<std::string> directories;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    if (end > 0) directories.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return directories;
}

ServerPrograms ProgramsIn(int version, const std::string& bin_dir) { return {version, bin_dir}; }

// Where programs of a version may be that has to be asked for it.
std::vector<std::string> LikelyDirectories(const std::string& number) {
  std::vector<std::string> directories = {
      "/usr/lib64/pgsql/postgresql-" + number + "/bin", "/opt/postgresql/" + number + "/bin",
      "/opt/postgresql-" + number + "/bin", "/opt/pgsql-" + number + "/bin",
      "/opt/homebrew/opt/postgresql@" + number + "/bin"};
  for (std::string& directory : PathDirectories()) directories.push_back(std::move(directory));
  directories.insert(directories.end(), {"/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"});
  return directories;
}

// The value of an os-release line, without quotes.
std::string OsReleaseValue(std::string_view text, const std::string& key) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key + "=")) continue;
    std::string value = line.substr(key.size() + 1);
    std::erase(value, '"');
    return value;
  }
  return "";
}

}  // namespace

Result<ServerPrograms> FindServerPrograms(int version, const std::string& pgbin,
                                          const std::string& branch) {
  const std::string number = std::to_string(version);
  if (!pgbin.empty()) {
    if (HasServer(pgbin, version)) return ProgramsIn(version, pgbin);
    return Failed("no PostgreSQL " + number + " server program in \"" + pgbin + "\"",
                  "branch \"" + branch + "\" needs PostgreSQL " + number);
  }
  // Whose names say the version: the program need not be asked. The first is postgresql-common's.
  const char* root = std::getenv("PGBINROOT");
  for (const std::string& dir :
       {(root ? root : "/usr/lib/postgresql/") + number + "/bin",
        "/usr/lib/postgresql/" + number + "/bin", "/usr/pgsql-" + number + "/bin"}) {
    if (HasAnyServer(dir)) return ProgramsIn(version, dir);
  }
  if (const auto dir = OutputOf({"pg_config", "--bindir"}); dir && HasServer(*dir, version)) {
    return ProgramsIn(version, *dir);
  }
  for (const std::string& dir : LikelyDirectories(number)) {
    if (HasServer(dir, version)) return ProgramsIn(version, dir);
  }
  const Result<std::string> os = ReadTextFile("/etc/os-release");
  return Failed("no PostgreSQL " + number + " server programs found for branch \"" + branch + "\"",
                "install them (" + HowToInstallServer(os.ok() ? *os : "", version) +
                    ") or say where they are with --pgbin DIR");
}

std::string HowToInstallServer(std::string_view os_release, int version) {
  const std::string number = std::to_string(version);
  const std::string like =
      " " + OsReleaseValue(os_release, "ID") + " " + OsReleaseValue(os_release, "ID_LIKE") + " ";
  if (like.find(" debian ") != std::string::npos || like.find(" ubuntu ") != std::string::npos) {
    return "apt install postgresql-" + number;
  }
  if (like.find(" fedora ") != std::string::npos || like.find(" rhel ") != std::string::npos) {
    return "dnf install postgresql" + number + "-server";
  }
  return "PostgreSQL " + number + " of your distribution";
}

std::string ServerPrograms::LibraryDir() const {
  return OutputOf({Path("pg_config"), "--pkglibdir"}).value_or(bin_dir + "/../lib");
}

std::vector<std::string> SplitLibraries(std::string_view value) {
  std::vector<std::string> libraries;
  std::string name;
  bool quoted = false;
  const auto finish = [&] {
    const size_t first = name.find_first_not_of(" \t\n");
    if (first != std::string::npos) {
      libraries.push_back(name.substr(first, name.find_last_not_of(" \t\n") - first + 1));
    }
    name.clear();
  };
  for (const char c : value) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      finish();
    } else {
      name += c;
    }
  }
  finish();
  return libraries;
}

std::string JoinLibraries(const std::vector<std::string>& libraries) {
  std::string joined;
  for (const std::string& library : libraries) {
    const bool is_plain = library.find_first_of(", \t\n") == std::string::npos;
    if (!joined.empty()) joined += ", ";
    if (!is_plain) joined += '"';
    joined += library;
    if (!is_plain) joined += '"';
  }
  return joined;
}

}  // namespace velafs::pgctl
