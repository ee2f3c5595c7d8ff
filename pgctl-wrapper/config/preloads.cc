#include "pgctl-wrapper/config/preloads.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>

#include "pgctl-wrapper/config/library_name.h"
#include "pgctl-wrapper/process/text_file.h"
#include "pgctl-wrapper/server/server_programs.h"

namespace velafs::pgctl {
namespace {

constexpr std::string_view kLibDir = "$libdir";
constexpr uint64_t kLargestLibraryBytes = 512 << 20;

// The path that the server makes of a spelling.
std::string ServerPath(const LibraryPlaces& places, std::string_view setting,
                       const std::string& spelling) {
  if (spelling.starts_with('/')) return spelling;
  if (spelling == kLibDir || spelling.starts_with(std::string(kLibDir) + "/")) {
    return places.library_dir + spelling.substr(kLibDir.size());
  }
  if (spelling.find('/') != std::string::npos) return places.data_dir + "/" + spelling;
  const bool is_restricted = setting == "local_preload_libraries";
  return places.library_dir + (is_restricted ? "/plugins/" : "/") + spelling;
}

bool IsFile(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

// What the library is called, and what a link in its place leads to.
std::vector<std::string> NamesOf(const std::string& spelling, const std::string& file) {
  std::vector<std::string> names = {LibraryName(spelling)};
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(file.c_str(), nullptr),
                                                         &std::free);
  if (real) names.push_back(LibraryName(real.get()));
  return names;
}

// The strictest rule for any of the names.
const LibraryRule* RuleFor(const LibraryRules& rules, const std::vector<std::string>& names) {
  const LibraryRule* strictest = nullptr;
  for (const std::string& name : names) {
    const auto found = rules.find(name);
    if (found == rules.end()) continue;
    if (!strictest || strictest->action == LibraryAction::kAllow) strictest = &found->second;
  }
  return strictest;
}

bool RegistersWorkers(const std::string& code) {
  return code.find("RegisterBackgroundWorker") != std::string::npos ||
         code.find("RegisterDynamicBackgroundWorker") != std::string::npos;
}

// A setting is quoted as quieting a library only when the library's code has its name.
bool KnowsSetting(const std::string& code, const std::string& setting) {
  return code.find(setting + '\0') != std::string::npos;
}

PreloadLibrary Judge(const LibraryPlaces& places, const LibraryRules& rules,
                     std::string_view setting, const std::string& spelling, bool as_is) {
  PreloadLibrary library;
  library.spelling = spelling;
  const std::optional<std::string> file = FindLibrary(places, setting, spelling);
  if (!file) {
    library.fate = Fate::kMissing;
    return library;
  }
  if (as_is) return library;
  const LibraryRule* rule = RuleFor(rules, NamesOf(spelling, *file));
  if (rule && rule->action == LibraryAction::kAllow) return library;
  if (rule) library.rule = *rule;
  if (rule && rule->action == LibraryAction::kLeaveOut) {
    library.fate = Fate::kLeftOut;
    return library;
  }
  const Result<std::string> code = ReadBoundedFile(*file, kLargestLibraryBytes);
  if (rule) {
    const bool knows = code.ok() && KnowsSetting(*code, rule->setting);
    library.fate = knows ? Fate::kQuieted : Fate::kLeftOut;
  } else {
    library.has_unknown_workers = !code.ok() || RegistersWorkers(*code);
  }
  return library;
}

}  // namespace

std::optional<std::string> FindLibrary(const LibraryPlaces& places, std::string_view setting,
                                       const std::string& spelling) {
  const std::string path = ServerPath(places, setting, CanonicalPath(spelling));
  for (const std::string& candidate : {path, path + ".so"}) {
    if (IsFile(candidate)) return candidate;
  }
  return std::nullopt;
}

std::vector<PreloadLibrary> JudgeLibraries(const LibraryPlaces& places, const LibraryRules& rules,
                                           std::string_view setting, std::string_view value,
                                           bool as_is) {
  std::vector<PreloadLibrary> libraries;
  for (const std::string& spelling : SplitLibraries(value)) {
    libraries.push_back(Judge(places, rules, setting, spelling, as_is));
  }
  return libraries;
}

std::optional<std::string> ValueWithoutDropped(const std::vector<PreloadLibrary>& libraries) {
  std::vector<std::string> kept;
  for (const PreloadLibrary& library : libraries) {
    if (!library.IsDropped()) kept.push_back(library.spelling);
  }
  if (kept.size() == libraries.size()) return std::nullopt;
  return JoinLibraries(kept);
}

std::string WhyDropped(const std::vector<PreloadLibrary>& libraries) {
  std::string why;
  const std::vector<std::string> missing = MissingAmong(libraries);
  if (!missing.empty()) why = "not installed: " + JoinLibraries(missing);
  for (const PreloadLibrary& library : libraries) {
    if (library.fate != Fate::kLeftOut) continue;
    why += std::string(why.empty() ? "" : "; ") + "left out: " + library.spelling + " (" +
           library.rule.why + ")";
  }
  return why;
}

std::vector<std::string> MissingAmong(const std::vector<PreloadLibrary>& libraries) {
  std::vector<std::string> missing;
  for (const PreloadLibrary& library : libraries) {
    if (library.fate == Fate::kMissing) missing.push_back(library.spelling);
  }
  return missing;
}

}  // namespace velafs::pgctl
