// How SQLite reaches the host's files.
#pragma once

namespace velafs::sql {

// The name of the VFS to open databases with. It is SQLite's own, with two differences:
//
// * A read that fails is SQLITE_IOERR_READ. SQLite's own takes EIO, on some filesystems, for a sign
//   of damage, and statements then answer SQLITE_CORRUPT: an error of the disk would pass for a
//   damaged database.
// * The log's index is in this process's memory. In a file, written through a mapping, it is
//   SIGBUS and no error if a host that writes in new places has no space for it. Where the default
//   VFS is another than SQLite's own, that one keeps the index.
const char* HostVfs();

}  // namespace velafs::sql
