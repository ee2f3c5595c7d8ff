// Archives that are unpacked for as long as they are wanted.
#pragma once

#include <optional>
#include <string>

#include "velafs/base/status.h"
#include "velafs/cli/unpack.h"

namespace velafs::cli {

// In a directory of its own in $TMPDIR, or /var/tmp, velafs-import-*, which is the process's
// working directory meanwhile. It is removed at the end; one that is killed leaves it. One thread.
class UnpackedTar {
 public:
  explicit UnpackedTar(bool quiet) : quiet_(quiet) {}
  ~UnpackedTar();
  UnpackedTar(const UnpackedTar&) = delete;
  UnpackedTar& operator=(const UnpackedTar&) = delete;

  // Unpacks a PGDATA: an archive, "-" for standard input, or base.tar of a directory, compressed or
  // not. If it is a base backup, whatever of it lies beside it in archives of its own is unpacked
  // too: its tablespaces, and its WAL. Refused, naming the tablespaces, when their archives are
  // missing.
  Status Unpack(const std::string& tar);
  // Archives are made of a directory's content, or of the directory.
  std::string DataDirectory() const;

 private:
  Status MakeDirectory();
  Status UnpackHere(const std::string& tar, std::optional<FileOwner> owner);
  Status UnpackRest(const std::string& tar);
  std::optional<FileOwner> DataOwner() const;
  Status GiveOwner(const std::string& directory) const;

  const bool quiet_;
  std::string directory_;  // nobody else passes through it: the archive's owners may not interfere
  std::string top_;        // in there, what was unpacked
};

}  // namespace velafs::cli
