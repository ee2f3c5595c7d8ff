#include "pgctl-wrapper/config/ssl_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

constexpr const char* kKeyFile = "ssl_key_file";
constexpr uint64_t kMostKeyBytes = 1 << 20;

// The file's path; empty if `own` has none.
std::string PathOf(const Settings& own, const std::string& setting, const std::string& data_dir) {
  const auto found = own.find(setting);
  if (found == own.end() || found->second.empty()) return "";
  return found->second.starts_with('/') ? found->second : data_dir + "/" + found->second;
}

// As the server itself checks it.
std::string KeyProblem(const std::string& path) {
  constexpr mode_t kNotForOwners = 077;
  constexpr mode_t kNotForRoots = 037;
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode))
    return "its key is not a regular file";
  if (info.st_uid != geteuid() && info.st_uid != 0) return "its key file belongs to another user";
  const mode_t refused = info.st_uid == geteuid() ? kNotForOwners : kNotForRoots;
  if ((info.st_mode & refused) != 0) return "its key file is open to others";
  const Result<std::string> key = ReadBoundedFile(path, kMostKeyBytes);
  const bool is_encrypted = key.ok() && key->find("ENCRYPTED") != std::string::npos;
  return is_encrypted ? "its key needs a passphrase" : "";
}

}  // namespace

std::string SslProblem(const Settings& own, const std::string& data_dir) {
  for (const char* setting : {"ssl_cert_file", kKeyFile, "ssl_ca_file", "ssl_crl_file"}) {
    const std::string path = PathOf(own, setting, data_dir);
    if (!path.empty() && eaccess(path.c_str(), R_OK) != 0) {
      return "its certificate or key file is missing";
    }
  }
  const std::string key = PathOf(own, kKeyFile, data_dir);
  return key.empty() ? "" : KeyProblem(key);
}

}  // namespace velafs::pgctl
