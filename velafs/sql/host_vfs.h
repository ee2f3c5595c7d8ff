// How SQLite reaches the host's files.
#pragma once

namespace velafs::sql {

// The name of the VFS to open databases with. It is SQLite's own with two differences:
//
// * A failed read is SQLITE_IOERR_READ. On some filesystems SQLite's own VFS takes EIO for damage,
//   and statements return SQLITE_CORRUPT: a disk error would look like a damaged database.
// * The log's index is in this process's memory. It would be in a file that is written through a
//   mapping: on a copy-on-write host without space that is SIGBUS, not an error. If the default VFS
//   is not SQLite's own, that VFS keeps the index.
const char* HostVfs();

}  // namespace velafs::sql
