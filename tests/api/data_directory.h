// What passes for a stopped server's PGDATA.
#pragma once

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

namespace velafs::test {

// `file_bytes` is the size of its one table, whose content does not compress.
inline std::string MakeDataDirectory(const std::string& path, size_t file_bytes = 100'000) {
  const auto write = [&path](const std::string& name, const std::string& content) {
    const std::filesystem::path file = std::filesystem::path(path) / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
  };
  std::string table(file_bytes, '\0');
  std::mt19937 random(1);
  for (char& byte : table) byte = static_cast<char>(random());
  write("PG_VERSION", "15\n");
  write("postgresql.conf", "");
  write("global/pg_control", std::string(8192, 'c'));
  write("base/1/1259", table);
  return path;
}

}  // namespace velafs::test
