#include "velafs/store/import/source_reader.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem.hpp>
#include <cerrno>

#include "velafs/base/text.h"
#include "velafs/store/rules.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

namespace fs = boost::filesystem;

constexpr gid_t kNoGroup = 65534;

// Those of a user without a name are those of his number alone.
os::Credentials CredentialsOf(uid_t uid) {
  const std::string name = UserName(uid);
  const Result<catalog::FileOwner> user = FindUser(name);
  if (!user.ok()) return {uid, kNoGroup, {}};
  os::Credentials rights{uid, user->gid, {}};
  int count = 64;
  rights.groups.resize(static_cast<size_t>(count));
  if (getgrouplist(name.c_str(), rights.gid, rights.groups.data(), &count) < 0) {
    rights.groups.resize(static_cast<size_t>(count));
    getgrouplist(name.c_str(), rights.gid, rights.groups.data(), &count);
  }
  rights.groups.resize(static_cast<size_t>(count));
  return rights;
}

Result<Source> FindSourceAs(const Caller& caller, const std::string& directory,
                            const std::string& keep_out, const ImportOptions& options) {
  VELAFS_ASSIGN(const catalog::FileOwner user, FindUser(options.read_as));
  if (user.uid == caller.uid) {
    return FindSource(directory, keep_out, {caller.uid, caller.gid, caller.groups}, options);
  }
  if (caller.uid == 0) return FindSource(directory, keep_out, CredentialsOf(user.uid), options);
  return Refused("only root can read with the rights of another user", "leave out --read-as");
}

// Whether more rights might help.
bool IsDenied(const Status& failure) {
  const int error = failure.error_number();
  if (failure.code() != Code::kRefused) return error == EACCES || error == EPERM;
  return failure.message().find("cannot be read") != std::string::npos;
}

// Refused when a link on the path, or on that of what it leads to, is another user's than root's or
// the one who owns the directory: it could lead root to whatever that user likes.
Status CheckPathIsTrusted(const std::string& directory, uid_t owner) {
  constexpr int kMaxLinks = 40;
  fs::path done = "/";
  fs::path ahead = fs::path(directory).relative_path();
  for (int links = 0; !ahead.empty() && links < kMaxLinks;) {
    const fs::path next = done / *ahead.begin();
    const fs::path rest = ahead.lexically_relative(*ahead.begin());
    struct stat info;
    if (lstat(next.c_str(), &info) != 0) return {};  // which the import says, too
    if (!S_ISLNK(info.st_mode)) {
      done = next;
      ahead = rest == "." ? fs::path() : rest;
      continue;
    }
    if (info.st_uid != 0 && info.st_uid != owner) {
      return Refused(
          Quoted(next.string()) + " is a link that belongs to " + Quoted(UserName(info.st_uid)),
          "name the directory itself");
    }
    ++links;
    boost::system::error_code error;
    const fs::path target = fs::read_symlink(next, error);
    if (target.is_absolute()) done = "/";
    ahead = target.relative_path() / (rest == "." ? fs::path() : rest);
  }
  return {};
}

// Who could have put there what the directory has.
Result<uid_t> OwnerOf(const std::string& directory) {
  struct stat info;
  if (stat(directory.c_str(), &info) != 0) return uid_t{0};  // which the import says
  VELAFS_TRY(CheckPathIsTrusted(directory, info.st_uid));
  if (info.st_uid != 0) return info.st_uid;
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Refused("it belongs to root, but others may write to it",
                   "--read-as USER reads it with the rights of that user");
  }
  const bool has_version = lstat((directory + "/PG_VERSION").c_str(), &info) == 0;
  return has_version ? info.st_uid : uid_t{0};
}

Result<ConfigReader> OwnersRights(const std::string& config_dir) {
  const Result<uid_t> owner = OwnerOf(config_dir);
  if (!owner.ok()) return Status(owner.status()).WithContext(Quoted(config_dir));
  return ConfigReader{*owner == 0 ? os::Credentials() : CredentialsOf(*owner), true};
}

Result<Source> FindSourceAsOwner(const std::string& directory, const std::string& keep_out,
                                 const ImportOptions& options) {
  VELAFS_ASSIGN(const uid_t owner, OwnerOf(directory));
  std::optional<ConfigReader> config;
  if (!options.config_dir.empty()) {
    VELAFS_ASSIGN(config, OwnersRights(options.config_dir));
  }
  if (owner == 0) return FindSource(directory, keep_out, {}, options, config);
  Result<Source> source = FindSource(directory, keep_out, CredentialsOf(owner), options, config);
  if (!source.ok() && source.status().hint().empty() && IsDenied(source.status())) {
    return std::move(source).status().WithHint(
        "it is read with the rights of " + Quoted(UserName(owner)) +
        ", who owns the directory; --read-as root reads it with root's, wherever its links lead");
  }
  return source;
}

Result<Source> FindSourceAsCaller(const Caller& caller, const std::string& directory,
                                  const std::string& keep_out, const ImportOptions& options) {
  Result<Source> source =
      FindSource(directory, keep_out, {caller.uid, caller.gid, caller.groups}, options);
  if (source.ok() || !source.status().hint().empty() || !IsDenied(source.status())) return source;
  return std::move(source).status().WithHint(
      "it is read with your rights; with root's, and as files of yours: sudo tar -C " +
      ShellWord(directory) + " -c . | velafs import NAME --from-tar -");
}

}  // namespace

Result<Source> FindSourceFor(const Caller& caller, const std::string& directory,
                             const std::string& keep_out, const ImportOptions& options) {
  if (!options.read_as.empty()) return FindSourceAs(caller, directory, keep_out, options);
  if (caller.uid != 0 || geteuid() != 0) {
    return FindSourceAsCaller(caller, directory, keep_out, options);
  }
  VELAFS_ASSIGN(Source source, FindSourceAsOwner(directory, keep_out, options));
  // Another directory may have come to be there since its owner was looked up.
  const uid_t owner = source.entries[0].info.st_uid;
  if (owner != 0 && owner != source.reader.uid) return source.Changed(0);
  return source;
}

Result<ConfigReader> ReaderOf(const Caller& caller, const std::string& directory) {
  if (caller.uid != 0 || geteuid() != 0) {
    return ConfigReader{{caller.uid, caller.gid, caller.groups}};
  }
  return OwnersRights(directory);
}

}  // namespace velafs::store
