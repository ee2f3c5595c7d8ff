#include "pgctl-wrapper/data/outside_links.h"

#include <algorithm>
#include <filesystem>

namespace velafs::pgctl {
namespace {

constexpr char kTablespaceLinks[] = "pg_tblspc";

// Of the data directory's own names. The configuration files that begin with pg_ are only read.
bool IsWrittenTo(const std::string& name) {
  if (name == "pg_hba.conf" || name == "pg_ident.conf") return false;
  return name == "base" || name == "global" || name == "current_logfiles" ||
         name == "postgresql.auto.conf" || name.starts_with("pg_");
}

bool LeadsOut(const std::filesystem::path& link, const std::filesystem::path& data_dir) {
  std::error_code error;
  // Takes what is not there as it is written.
  const std::filesystem::path real = std::filesystem::weakly_canonical(link, error);
  if (error) return true;
  if (std::filesystem::is_symlink(real, error)) {  // to where nothing is: it was taken as itself
    const std::filesystem::path target = std::filesystem::read_symlink(real, error);
    const std::filesystem::path there =
        std::filesystem::weakly_canonical(real.parent_path() / target, error);
    if (error || std::filesystem::is_symlink(there, error)) return true;
    return LeadsOut(there, data_dir);
  }
  const auto [end, at] = std::mismatch(data_dir.begin(), data_dir.end(), real.begin(), real.end());
  return end != data_dir.end();
}

// `levels`: of directories below that are looked through, too.
Status AddLinks(const std::filesystem::path& directory, const std::filesystem::path& data_dir,
                const std::string& prefix, int levels, std::vector<OutsideLink>* found) {
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename();
    if (prefix.empty() && !IsWrittenTo(name)) continue;
    std::error_code ignored;
    if (at->is_symlink(ignored)) {
      if (!LeadsOut(at->path(), data_dir)) continue;
      found->push_back({prefix + name, std::filesystem::read_symlink(at->path(), ignored)});
    } else if (levels > 0 && at->is_directory(ignored)) {
      VELAFS_TRY(AddLinks(at->path(), data_dir, prefix + name + "/", levels - 1, found));
    }
  }
  if (!error || error == std::errc::no_such_file_or_directory) return {};
  return SystemError(error.value(), "cannot read \"" + directory.string() + "\"");
}

// Those of the directory of that name, unless it is a link itself: then it is among them already.
Status AddLinksIn(const std::string& name, const std::filesystem::path& data_dir, int levels,
                  std::vector<OutsideLink>* found) {
  if (std::ranges::find(*found, name, &OutsideLink::name) != found->end()) return {};
  return AddLinks(data_dir / name, data_dir, name + "/", levels, found);
}

}  // namespace

Result<std::vector<OutsideLink>> FindOutsideLinks(const std::string& data_dir) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(data_dir, error);
  if (error) return SystemError(error.value(), "cannot read \"" + data_dir + "\"");
  std::vector<OutsideLink> found;
  VELAFS_TRY(AddLinks(real, real, "", 0, &found));
  VELAFS_TRY(AddLinksIn("base", real, 0, &found));            // databases
  VELAFS_TRY(AddLinksIn(kTablespaceLinks, real, 2, &found));  // OID/PG_VERSION/database
  std::ranges::sort(found, {}, &OutsideLink::name);
  return found;
}

Status CheckNothingLeadsOut(const std::string& data_dir, const std::string& branch) {
  VELAFS_ASSIGN(const std::vector<OutsideLink> found, FindOutsideLinks(data_dir));
  if (found.empty()) return {};
  const OutsideLink& first = found.front();
  const bool is_tablespace = first.name.starts_with(std::string(kTablespaceLinks) + "/");
  return Refused("\"" + first.name + "\" of branch \"" + branch + "\" leads out of it, to \"" +
                     first.target + "\": a server would write there",
                 is_tablespace
                     ? "`velafs tablespaces " + branch + " --bring-in` copies it into the branch"
                     : "replace the link by its target");
}

}  // namespace velafs::pgctl
