// Which verbs each command of velafs calls: one table, which knows every command and every verb.
#include <doctest/doctest.h>

#include <boost/filesystem.hpp>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/run_velafs.h"
#include "tests/places.h"
#include "velafs/api/verbs.h"

namespace velafs::test {
namespace {

using Names = std::set<std::string>;

const std::map<std::string, Names>& VerbsOfCommands() {
  static const std::map<std::string, Names> table = {
      {"approve", {"approve"}},
      {"audit", {"audit"}},
      {"audit ship", {"audit-unshipped", "audit-shipped", "audit-forget"}},
      {"audit trim", {"audit-trim"}},
      {"audit verify", {"audit-verify"}},
      {"bookmark", {}},  // only has commands
      {"bookmark create", {"bookmark-create"}},
      {"bookmark delete", {"bookmark-delete"}},
      {"bookmark list", {"bookmark-list"}},
      {"chown", {"chown"}},
      {"clone", {"clone"}},
      {"completion", {}},    // prints words that are in the program
      {"config", {}},        // only has commands
      {"config check", {}},  // reads a file
      {"config show", {}},   // reads files
      {"delete", {"delete"}},
      {"diff", {"diff"}},
      {"doctor", {"stats", "list", "tablespaces"}},
      {"expire", {"expire"}},
      {"export", {"export"}},
      {"gc", {"gc", "trash-purge"}},
      {"help", {}},  // prints words that are in the program
      {"import", {"import"}},
      {"init", {"policy-set"}},
      {"label", {"label"}},
      {"list", {"list", "trash-list"}},
      {"metrics", {"status", "stats", "list", "counters", "audit"}},
      {"mount", {"status"}},
      {"note", {"note"}},
      {"policy", {}},  // only has commands
      {"policy apply", {"policy-apply"}},
      {"policy set", {"policy-set"}},
      {"policy show", {"policy-show"}},
      {"policy unset", {"policy-unset"}},
      {"promote", {"promote"}},
      {"protect", {"protect"}},
      {"quota", {"quota"}},
      {"rename", {"rename"}},
      {"reset", {"reset"}},
      {"scrub", {"scrub"}},
      {"seal", {"seal"}},
      {"show", {"show"}},
      {"stats", {"stats"}},
      {"status", {"status", "list"}},
      {"tablespaces", {"tablespaces", "tablespaces-bring-in", "tablespaces-drop"}},
      {"tree", {"list", "bookmark-list"}},
      {"ttl", {"ttl"}},
      {"umount", {api::kUmountVerb}},
      {"unapprove", {"unapprove"}},
      {"undelete", {"undelete"}},
      {"unprotect", {"unprotect"}},
  };
  return table;
}

// velapg calls these, and no command does.
const Names kOfVelapg = {"assign-port", "pool-place", "server"};

// What can be typed after those words, as Tab offers it.
std::vector<std::string> Following(const Velafs& velafs, const std::vector<std::string>& words) {
  std::vector<std::string> arguments = {"candidates", "--"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  arguments.push_back("");
  std::istringstream out(velafs(arguments).out);
  std::vector<std::string> lines;
  for (std::string line; std::getline(out, line);) lines.push_back(line);
  return lines;
}

TEST_CASE("each command of velafs has its verbs in the table, and the table has no others") {
  const Velafs velafs;
  Names commands;
  for (const std::string& command : Following(velafs, {})) {
    commands.insert(command);
    for (const char* group : {"audit", "bookmark", "config", "policy"}) {
      if (command != group) continue;
      for (const std::string& one : Following(velafs, {command})) {
        commands.insert(command + " " + one);
      }
    }
  }
  Names in_table;
  for (const auto& [command, verbs] : VerbsOfCommands()) in_table.insert(command);
  CHECK(commands == in_table);
}

TEST_CASE("each verb has a command, or is velapg's") {
  Names called = kOfVelapg;
  for (const auto& [command, verbs] : VerbsOfCommands()) {
    for (const std::string& verb : verbs) {
      CHECK_MESSAGE(!kOfVelapg.contains(verb), verb);
      called.insert(verb);
    }
  }
  Names all = {api::kUmountVerb};
  for (const std::string_view verb : api::VerbNames()) all.emplace(verb);
  CHECK(called == all);
}

TEST_CASE("what the command line calls is in the table") {
  std::string sources;
  for (const auto& entry :
       boost::filesystem::directory_iterator(std::string(kSourceDirectory) + "/velafs/cli")) {
    sources += Velafs::Content(entry.path().string());
  }
  const auto names = [&sources](const std::string& verb) {
    return sources.find("\"" + verb + "\"") != std::string::npos;
  };
  for (const auto& [command, verbs] : VerbsOfCommands()) {
    for (const std::string& verb : verbs) CHECK_MESSAGE(names(verb), verb);
  }
  for (const std::string& verb : kOfVelapg) CHECK_MESSAGE(!names(verb), verb);
}

}  // namespace
}  // namespace velafs::test
