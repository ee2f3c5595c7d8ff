#include "pgctl-wrapper/server/start_warnings.h"

#include <filesystem>

#include "pgctl-wrapper/config/library_name.h"
#include "pgctl-wrapper/data/data_dir.h"
#include "pgctl-wrapper/server/preparation.h"
#include "pgctl-wrapper/server/recovery.h"
#include "velafs/base/text.h"

namespace velafs::pgctl {
namespace {

// Directories among the tablespaces, which backups as tar archives leave out in silence.
bool HasTablespaceDirectories(const std::string& data_dir) {
  std::error_code error;
  std::filesystem::directory_iterator entry(data_dir + "/pg_tblspc", error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (std::filesystem::is_directory(entry->symlink_status(error))) return true;
  }
  return false;
}

}  // namespace

void WarnOfGroup(const ServerGroup& group, std::vector<std::string>* warnings) {
  if (group.ends_with.empty()) return;
  warnings->push_back("the server ends when " + group.ends_with +
                      ", in which it was started, does: systemd gives this user no scope for it "
                      "(loginctl enable-linger changes that)");
}

void WarnOfData(const ServerFacts& facts, const StartOptions& options, bool is_first,
                std::vector<std::string>* warnings) {
  const std::string& data_dir = facts.places.data_dir;
  for (const UnusableDatabase& database : DatabasesWithoutLocale(data_dir, facts.version)) {
    warnings->push_back("database \"" + Printable(database.name) +
                        "\" cannot be opened: its locale \"" + database.locale +
                        "\" is not on this machine; to install it: apt install locales-all");
  }
  if (options.overrides.as_is) {
    const auto listens = facts.own.find("listen_addresses");
    const bool is_reached =
        facts.network == Network::kHost && listens != facts.own.end() && !listens->second.empty();
    if (is_reached) {
      warnings->push_back("with --as-is the server listens on \"" + listens->second +
                          "\", with the access rules of the branch's pg_hba.conf");
    }
    if (WouldArchive(facts.own)) {
      warnings->push_back(
          "with --as-is the server writes into the WAL archive that its "
          "configuration names");
    }
    return;
  }
  if (options.standby && MayHaveSubscriptions(data_dir)) {
    warnings->push_back(
        "the subscriptions of a standby cannot be detached: if it is promoted, "
        "restart it without --standby before they are used");
  }
  if (options.standby && CountPreparedTransactions(data_dir) > 0) {
    warnings->push_back(
        "the prepared transactions of a standby cannot be rolled back: if it is promoted, "
        "restart it without --standby before they are committed");
  }
  const ServerPlaces& places = facts.places;
  if (!places.config_is_copy && !places.config_file.starts_with(data_dir + "/")) {
    warnings->push_back(
        "the branch has no postgresql.conf: its settings are PostgreSQL's defaults; put one into "
        "the branch, or import with velafs import --config-dir");
  }
  if (!is_first) return;
  constexpr int kKnowsDirectories = 16;
  if (facts.version < kKnowsDirectories && HasTablespaceDirectories(data_dir)) {
    warnings->push_back(
        "pg_basebackup --format=tar of this version leaves the branch's tablespaces out; "
        "--format=plain and velafs export do not");
  }
  if (facts.network == Network::kHost && MayHaveForeignServers(data_dir)) {
    warnings->push_back(
        "foreign servers of the branch reach the hosts that they name; to close "
        "that way out: --network isolated");
  }
}

void WarnOfLibraries(const ServerFacts& facts, const std::string& branch,
                     std::vector<std::string>* warnings) {
  const std::string keep = "velafs policy set " + branch + " allow_libraries=";
  for (const auto& [setting, libraries] : facts.preloads) {
    for (const PreloadLibrary& library : libraries) {
      const std::string name = "preload library \"" + library.spelling + "\"";
      if (library.fate == Fate::kMissing) {
        warnings->push_back(name + " is not installed and was left out");
      } else if (library.fate == Fate::kLeftOut) {
        warnings->push_back(name + " was left out: it " + library.rule.why +
                            "; to load it: " + keep + LibraryName(library.spelling));
      } else if (library.has_unknown_workers) {
        warnings->push_back(name + " registers background workers, which run on the clone; to " +
                            "leave it out, list it in the store's extensions.toml");
      }
    }
  }
}

}  // namespace velafs::pgctl
