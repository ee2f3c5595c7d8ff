#include "velafs/store/source_reader.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "velafs/store/rules.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

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
                            const std::string& keep_out, const std::string& read_as) {
  VELAFS_ASSIGN(const catalog::FileOwner user, FindUser(read_as));
  if (user.uid == caller.uid) {
    return FindSource(directory, keep_out, {caller.uid, caller.gid, caller.groups});
  }
  if (caller.uid == 0) return FindSource(directory, keep_out, CredentialsOf(user.uid));
  return Refused("only root reads with the rights of another user", "leave out --read-as");
}

// Whether more rights might help.
bool IsDenied(const Status& failure) {
  const int error = failure.error_number();
  return error == EACCES || error == EPERM ||
         failure.message().find("cannot be read") != std::string::npos;
}

Result<Source> FindSourceAsOwner(const std::string& directory, const std::string& keep_out) {
  struct stat info;
  if (stat(directory.c_str(), &info) != 0 || info.st_uid == 0) {
    return FindSource(directory, keep_out, {});
  }
  Result<Source> source = FindSource(directory, keep_out, CredentialsOf(info.st_uid));
  if (!source.ok() && source.status().hint().empty() && IsDenied(source.status())) {
    return std::move(source).status().WithHint(
        "it is read with the rights of " + Quoted(UserName(info.st_uid)) +
        ", who owns the directory; --read-as root reads it with root's, wherever its links lead");
  }
  return source;
}

}  // namespace

Result<Source> FindSourceFor(const Caller& caller, const std::string& directory,
                             const std::string& keep_out, const std::string& read_as) {
  if (!read_as.empty()) return FindSourceAs(caller, directory, keep_out, read_as);
  if (caller.uid != 0 || geteuid() != 0) {
    return FindSource(directory, keep_out, {caller.uid, caller.gid, caller.groups});
  }
  VELAFS_ASSIGN(Source source, FindSourceAsOwner(directory, keep_out));
  // Another directory may have come to be there since its owner was looked up.
  if (source.entries[0].info.st_uid != source.reader.uid) return source.Changed(0);
  return source;
}

}  // namespace velafs::store
