// Columns of text that line up.
#pragma once

#include <string>
#include <vector>

#include "velafs/cli/style.h"

namespace velafs::cli {

enum class Align { kLeft, kRight };

// One thread.
class Table {
 public:
  struct Cell {
    std::string text;
    std::string (Style::*paint)(const std::string&) const = nullptr;
  };

  explicit Table(std::vector<Align> columns) : columns_(std::move(columns)) {}
  // As many cells as columns. Control characters are escaped.
  void AddRow(std::vector<Cell> cells);
  // Two spaces between columns, none at a line's end, every line ended.
  std::string Render(const Style& style) const;

 private:
  std::vector<Align> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Characters of UTF-8 text, equal to its columns for all text printed here.
size_t DisplayWidth(const std::string& text);

}  // namespace velafs::cli
