// The roles and databases of a branch, read from the files of its shared catalogs without a server.
// Changes that a running server has not written yet are not seen. Call it as the data's owner.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace velafs::pgctl {

// The names that the role with OID 10 may have, the likeliest first: the superuser that initdb
// made, who can be renamed but never dropped. Before them, if that role may not log in, all other
// superusers who may. More than one only then, and where a renaming is so fresh that the file does
// not say whether it was committed. At most 16; empty if the file cannot be read, or gives that
// role more names than that.
std::vector<std::string> BootstrapRoles(const std::string& data_dir);
// The same from the content of pg_authid's file.
std::vector<std::string> BootstrapRolesIn(std::string_view content);

// In alphabetical order, without those that have certainly been dropped. Nothing if the file cannot
// be read. Roles without the system's own, as which nobody can log in.
std::optional<std::vector<std::string>> RoleNames(const std::string& data_dir);
std::optional<std::vector<std::string>> DatabaseNames(const std::string& data_dir);

// True if the file shows a database of that name which nobody has dropped or begun to drop.
bool IsLastingDatabase(const std::string& data_dir, const std::string& name);

}  // namespace velafs::pgctl
