#include "velafs/cli/schema_diff.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "velafs/base/terminal_text.h"
#include "velafs/cli/child.h"

namespace velafs::cli {
namespace {

// Two files for as long as diff reads them.
class Scratch {
 public:
  Scratch() {
    std::error_code error;
    std::string path =
        (std::filesystem::temp_directory_path(error) / "velafs-diff-XXXXXX").string();
    if (mkdtemp(path.data()) != nullptr) directory_ = path;
  }
  ~Scratch() {
    std::error_code error;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, error);
  }
  Result<std::string> Write(const std::string& name, const std::string& content) {
    const std::string path = directory_ + "/" + name;
    std::ofstream file(path, std::ios::binary);
    file << content;
    file.close();
    if (directory_.empty() || !file) return Failed("cannot write a temporary file");
    return path;
  }

 private:
  std::string directory_;
};

}  // namespace

std::string WithoutDatabases(const std::string& schema, const std::set<std::string>& databases) {
  if (databases.empty()) return schema;
  constexpr std::string_view kBegin = "-- Database \"";
  constexpr std::string_view kEnd = "\" dump";
  std::istringstream lines(schema);
  std::string kept;
  bool is_kept = true;
  for (std::string line; std::getline(lines, line);) {
    if (line == "-- PostgreSQL database cluster dump complete") is_kept = true;
    if (line.starts_with(kBegin) && line.ends_with(kEnd)) {
      const size_t length = line.size() - kBegin.size() - kEnd.size();
      is_kept = databases.count(line.substr(kBegin.size(), length)) == 0;
    }
    if (is_kept) kept += line + "\n";
  }
  return kept;
}

Result<std::string> SchemaDiff(const std::string& name_a, const std::string& schema_a,
                               const std::string& name_b, const std::string& schema_b) {
  if (schema_a == schema_b) return std::string();
  Scratch scratch;
  VELAFS_ASSIGN(const std::string a, scratch.Write("a", schema_a));
  VELAFS_ASSIGN(const std::string b, scratch.Write("b", schema_b));
  VELAFS_ASSIGN(Child child,
                RunChild({"diff", "--unified", "--label", name_a, "--label", name_b, a, b}));
  if (child.exit_status > 1) return Failed("the program diff failed");
  return std::move(child.out);
}

std::string RenderSchemaDiff(const nlohmann::json& schema, const Style& style) {
  if (schema["equal"]) return "the schemas do not differ\n";
  std::istringstream lines(schema["diff"].get<std::string>());
  std::string text;
  const bool is_for_terminal = isatty(STDOUT_FILENO) == 1;
  for (std::string line; std::getline(lines, line);) {
    if (is_for_terminal) line = PrintableLine(line);
    const char first = line.empty() ? ' ' : line[0];
    text += (first == '-'   ? style.Red(line)
             : first == '+' ? style.Green(line)
             : first == '@' ? style.Dim(line)
                            : line) +
            "\n";
  }
  return text;
}

}  // namespace velafs::cli
