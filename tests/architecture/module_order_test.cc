// Holds the order of the modules: reads every #include of the tree and names those that look
// upward.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/places.h"

namespace {

struct SourceFile {
  std::string path;  // from the root of the tree
  std::string text;
};

// A module of velafs/ may include itself and those before it, but for the pairs below.
const std::vector<std::string> kModules = {"base",  "os",    "sql",  "chunk", "catalog",
                                           "layer", "store", "fuse", "api",   "cli"};
const std::set<std::pair<std::string, std::string>> kStrangers = {{"catalog", "chunk"},
                                                                  {"api", "fuse"}};

// The public headers, and who may include them besides the wrapper.
const std::set<std::string> kPublicHeaders = {"client.h", "candidates.h", "configuration.h",
                                              "manual.h"};
const std::set<std::string> kClientUsers = {"api", "cli"};

// What the wrapper may see of module os.
const std::set<std::string> kOsHeadersOfWrapper = {"velafs/os/remove_tree.h", "velafs/os/scope.h",
                                                   "velafs/os/service_manager.h",
                                                   "velafs/os/unique_fd.h"};

// System and library headers that belong to some modules only.
const std::map<std::string, std::set<std::string>> kHeaderOwners = {
    {"sqlite3.h", {"sql"}},
    {"fuse_lowlevel.h", {"fuse"}},
    {"fuse3/fuse_lowlevel.h", {"fuse"}},
    {"archive.h", {"store", "cli"}},
    {"CLI/CLI.hpp", {"api", "cli", "pgctl-wrapper"}},
};

// The modules that reach the backing storage through `os` alone, and headers that would go past it.
const std::set<std::string> kStorageModules = {"base", "sql", "chunk", "catalog", "layer"};
const std::set<std::string> kStorageCalls = {"fstream", "filesystem", "sys/mman.h", "sys/uio.h",
                                             "boost/filesystem.hpp"};

// The steps of module layer, lowest first, as ARCHITECTURE.md has them: a file includes those of
// its own step and of lower ones.
const std::vector<std::set<std::string>> kLayerSteps = {
    {"allowance", "directory", "failed_layers", "idle_references", "page_map", "seal_sink",
     "server_files", "volume_parts"},
    {"layer", "layer_content", "layer_sync", "page_file", "sealed_file"},
    {"delayed_removals", "file_sealer", "layer_recovery", "layer_tree"},
    {"branch_host", "chain", "content_difference", "file_content", "flat_index", "tree_difference"},
    {"branch", "branch_files", "branch_head", "branch_inode", "branch_names", "branch_open"},
    {"volume", "volume_upkeep", "volume_usage"},
    {"layer_merger", "layer_pin", "layer_sealer", "layer_settler"},
};

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// "velafs/layer/x.cc" -> "layer"; "pgctl-wrapper/x.cc" -> "pgctl-wrapper"; "include/..." ->
// "include".
std::string ModuleOf(std::string_view path) {
  if (StartsWith(path, "velafs/")) path.remove_prefix(std::string_view("velafs/").size());
  return std::string(path.substr(0, path.find('/')));
}

// What a line includes, without its quotes or brackets.
std::optional<std::string> IncludeOf(std::string_view line) {
  const auto skip_blanks = [&line] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  };
  skip_blanks();
  if (!StartsWith(line, "#")) return std::nullopt;
  line.remove_prefix(1);
  skip_blanks();
  if (!StartsWith(line, "include")) return std::nullopt;
  line.remove_prefix(std::string_view("include").size());
  skip_blanks();
  if (line.empty() || (line[0] != '"' && line[0] != '<')) return std::nullopt;
  const size_t end = line.find(line[0] == '"' ? '"' : '>', 1);
  if (end == std::string_view::npos) return std::nullopt;
  return std::string(line.substr(1, end - 1));
}

// The step of "velafs/layer/x.cc"; nothing for a file that is on none.
std::optional<size_t> LayerStepOf(const std::string& path) {
  const std::string stem = std::filesystem::path(path).stem();
  for (size_t step = 0; step < kLayerSteps.size(); ++step) {
    if (kLayerSteps[step].contains(stem)) return step;
  }
  return std::nullopt;
}

// Why a file of module layer may not include a header of that module; nothing if it may.
std::optional<std::string> LayerObjection(const std::string& path, const std::string& header) {
  const auto here = LayerStepOf(path);
  const auto there = LayerStepOf(header);
  if (!here || !there) return "is on no step of module layer";
  if (*there > *here) return "is on a higher step of module layer";
  return std::nullopt;
}

// Why a file of `module` may not include `header`; nothing when it may.
std::optional<std::string> Objection(const std::string& module, const std::string& header) {
  if (const auto owners = kHeaderOwners.find(header);
      owners != kHeaderOwners.end() && !owners->second.contains(module)) {
    return "belongs to other modules";
  }
  if (kStorageModules.contains(module) && kStorageCalls.contains(header)) {
    return "storage is reached through module os";
  }
  if (StartsWith(header, "pgctl-wrapper/")) {
    if (module == "pgctl-wrapper") return std::nullopt;
    return "nothing includes the wrapper";
  }
  if (!StartsWith(header, "velafs/")) return std::nullopt;

  if (kPublicHeaders.contains(header.substr(std::string_view("velafs/").size()))) {
    if (module == "pgctl-wrapper" || kClientUsers.contains(module)) return std::nullopt;
    return "is for programs, not for module " + module;
  }
  const std::string target = ModuleOf(header);
  if (module == "pgctl-wrapper" || module == "include") {
    if (target == "base" || kOsHeadersOfWrapper.contains(header)) return std::nullopt;
    return module + " sees only public headers, base and a few of os";
  }
  const auto here = std::find(kModules.begin(), kModules.end(), module);
  const auto there = std::find(kModules.begin(), kModules.end(), target);
  if (here == kModules.end()) return "module " + module + " is not in the table";
  if (there == kModules.end()) return "module " + target + " is not in the table";
  if (there > here) return "module " + target + " comes after " + module;
  if (kStrangers.contains({module, target})) {
    return "modules " + module + " and " + target + " do not see each other";
  }
  return std::nullopt;
}

// One line for each forbidden #include: "velafs/chunk/packs.cc: velafs/catalog/rows.h: why".
std::vector<std::string> ForbiddenIncludes(const std::vector<SourceFile>& files) {
  std::vector<std::string> found;
  for (const SourceFile& file : files) {
    std::istringstream lines(file.text);
    for (std::string line; std::getline(lines, line);) {
      const auto header = IncludeOf(line);
      if (!header) continue;
      const std::string module = ModuleOf(file.path);
      auto why = Objection(module, *header);
      if (!why && module == "layer" && StartsWith(*header, "velafs/layer/")) {
        why = LayerObjection(file.path, *header);
      }
      if (why) found.push_back(file.path + ": " + *header + ": " + *why);
    }
  }
  return found;
}

std::vector<SourceFile> FilesUnder(const std::string& directory) {
  const std::filesystem::path root(velafs::kSourceDirectory);
  std::vector<SourceFile> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root / directory)) {
    const auto extension = entry.path().extension();
    if (extension != ".cc" && extension != ".h") continue;
    std::ifstream stream(entry.path());
    std::ostringstream text;
    text << stream.rdbuf();
    files.push_back({entry.path().lexically_relative(root).string(), text.str()});
  }
  return files;
}

std::vector<std::string> Check(const std::string& path, const std::string& include_line) {
  return ForbiddenIncludes({{path, "// A file.\n#pragma once\n" + include_line + "\n"}});
}

}  // namespace

TEST_CASE("no file of the tree includes what its module may not see") {
  for (const std::string directory : {"velafs", "pgctl-wrapper", "include"}) {
    const auto files = FilesUnder(directory);
    CHECK_MESSAGE(!files.empty(), directory, " holds no source files");
    for (const std::string& line : ForbiddenIncludes(files)) FAIL_CHECK(line);
  }
}

TEST_CASE("every file of module layer is on a step, and every name on a step is a file") {
  std::set<std::string> stems;
  for (const SourceFile& file : FilesUnder("velafs/layer")) {
    CHECK_MESSAGE(LayerStepOf(file.path), file.path, " is on no step");
    stems.insert(std::filesystem::path(file.path).stem());
  }
  for (const auto& step : kLayerSteps) {
    for (const std::string& name : step) CHECK_MESSAGE(stems.contains(name), name, " is no file");
  }
}

TEST_CASE("an include of a higher step of module layer is found") {
  CHECK(Check("velafs/layer/layer.h", "#include \"velafs/layer/chain.h\"").size() == 1);
  CHECK(Check("velafs/layer/volume.cc", "#include \"velafs/layer/layer_sealer.h\"").size() == 1);
  CHECK(Check("velafs/layer/volume.cc", "#include \"velafs/layer/new.h\"").size() == 1);
  CHECK(Check("velafs/layer/page_file.cc", "#include \"velafs/layer/layer.h\"").empty());
}

TEST_CASE("include/ holds only the public headers") {
  for (const SourceFile& file : FilesUnder("include")) {
    const std::string header = file.path.substr(std::string_view("include/velafs/").size());
    CHECK_MESSAGE(kPublicHeaders.contains(header), file.path, " is not public");
  }
}

TEST_CASE("an include of a later module is found") {
  CHECK(Check("velafs/layer/volume.cc", "#include \"velafs/store/store.h\"").size() == 1);
  CHECK(Check("velafs/base/ids.h", "#include \"velafs/os/storage.h\"").size() == 1);
  CHECK(Check("velafs/store/store.h", "  #  include \"velafs/cli/render.h\"").size() == 1);
}

TEST_CASE("an include between modules that do not see each other is found, either way") {
  CHECK(Check("velafs/catalog/rows.h", "#include \"velafs/chunk/packs.h\"").size() == 1);
  CHECK(Check("velafs/chunk/packs.h", "#include \"velafs/catalog/rows.h\"").size() == 1);
  CHECK(Check("velafs/api/server.cc", "#include \"velafs/fuse/mount.h\"").size() == 1);
  CHECK(Check("velafs/fuse/mount.cc", "#include \"velafs/api/server.h\"").size() == 1);
}

TEST_CASE("an include of the wrapper's that goes past the client is found") {
  CHECK(Check("pgctl-wrapper/main.cc", "#include \"velafs/store/store.h\"").size() == 1);
  CHECK(Check("pgctl-wrapper/main.cc", "#include \"velafs/api/json.h\"").size() == 1);
  CHECK(Check("velafs/cli/main.cc", "#include \"pgctl-wrapper/server/server.h\"").size() == 1);
  CHECK(Check("velafs/store/store.cc", "#include \"velafs/client.h\"").size() == 1);
}

TEST_CASE("an include of another module's library is found") {
  CHECK(Check("velafs/catalog/catalog.cc", "#include <sqlite3.h>").size() == 1);
  CHECK(Check("velafs/store/store.cc", "#include <fuse_lowlevel.h>").size() == 1);
  CHECK(Check("velafs/layer/branch.cc", "#include <fstream>").size() == 1);
}

TEST_CASE("an include of a module that is not in the table is found") {
  CHECK(Check("velafs/extra/a.cc", "#include \"velafs/base/ids.h\"").size() == 1);
  CHECK(Check("velafs/store/a.cc", "#include \"velafs/extra/a.h\"").size() == 1);
}

TEST_CASE("includes that follow the order are let through") {
  CHECK(Check("velafs/layer/volume.h", "#include \"velafs/catalog/catalog.h\"").empty());
  CHECK(Check("velafs/layer/volume.h", "#include \"velafs/layer/page_map.h\"").empty());
  CHECK(Check("velafs/cli/mount.cc", "#include \"velafs/fuse/mount.h\"").empty());
  CHECK(Check("velafs/api/client.cc", "#include \"velafs/client.h\"").empty());
  CHECK(Check("pgctl-wrapper/main.cc", "#include \"velafs/client.h\"").empty());
  CHECK(Check("pgctl-wrapper/main.cc", "#include \"velafs/base/status.h\"").empty());
  CHECK(Check("velafs/sql/connection.cc", "#include <sqlite3.h>").empty());
  CHECK(Check("velafs/base/check.h", "// #include \"velafs/store/store.h\"").empty());
}
