// A server's configuration as one text: postgresql.conf with included files instead of the include
// lines. Lines can be left out of it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::pgctl {

// A line that is left out, and why.
struct LeftOutLine {
  std::string file;
  size_t number = 0;
  std::string setting;  // in small letters; "include" and its kin too; empty of a broken line
  std::string why;

  // "/branch/postgresql.conf line 12"
  std::string Place() const { return file + " line " + std::to_string(number); }
};

class ConfigText {
 public:
  // With the rights of the caller. An include that cannot be read is left out, and so is a line of
  // more than 4 KiB. Fails if `path`
  // itself cannot be read, and if all is too large.
  static Result<ConfigText> Read(const std::string& path);

  std::string ToText() const;

  // By the number that a line has in ToText. False if no such line is there, or it is left out.
  bool LeaveOutLine(size_t number, const std::string& why);
  // Leaves out all lines that set it, so that its default applies. False if there are none.
  bool LeaveOutSetting(const std::string& setting, const std::string& why);

  // In the order of the text. Of several lines of a setting only the last, which is the one in
  // force.
  std::vector<LeftOutLine> LeftOut() const;

 private:
  struct Line {
    LeftOutLine origin;
    std::string text;
    bool is_left_out = false;
  };
  Status Add(const std::string& path, int depth);
  Status AddLine(const std::string& path, size_t number, std::string text, int depth);
  Status Include(Line line, const std::string& value, int depth);

  std::vector<Line> lines_;
  size_t bytes_ = 0;
};

// The setting of a line of a configuration file: the name, in small letters, and its value without
// quotes. Both are empty for a comment and for a line that sets nothing.
struct ConfigSetting {
  std::string name;
  std::string value;
};
ConfigSetting ParseConfigLine(std::string_view line);

// The line of the file that sets it last; 0 if none does, or the file cannot be read.
size_t LineThatSets(const std::string& path, const std::string& setting);

}  // namespace velafs::pgctl
