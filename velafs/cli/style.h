// Colours of text output, when it goes to a terminal.
#pragma once

#include <string>

namespace velafs::cli {

struct Style {
  bool colour = false;

  std::string Bold(const std::string& text) const { return Wrap("1", text); }
  std::string Dim(const std::string& text) const { return Wrap("2", text); }
  std::string Red(const std::string& text) const { return Wrap("31", text); }
  std::string Green(const std::string& text) const { return Wrap("32", text); }

 private:
  std::string Wrap(const char* code, const std::string& text) const {
    return colour ? std::string("\x1b[") + code + "m" + text + "\x1b[0m" : text;
  }
};

// Coloured when `fd` is a terminal that can, and NO_COLOR is not set.
Style StyleFor(int fd);

}  // namespace velafs::cli
