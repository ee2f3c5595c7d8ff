// The names of libraries, however a setting spells them. No I/O.
#pragma once

#include <string>
#include <string_view>

namespace velafs::pgctl {

// The path that the server makes of an entry of a list: `a/./b/../c/` is `a/c`, `./a` is `a`.
std::string CanonicalPath(std::string_view spelling);

// "pg_cron" for `pg_cron`, `$libdir/pg_cron`, `/usr/lib/../lib/pg_cron.so`, `pg_cron/` and
// `pg_cron-1.6.so`: the last part of the path, in small letters, without ".so" and version.
std::string LibraryName(std::string_view spelling);

}  // namespace velafs::pgctl
