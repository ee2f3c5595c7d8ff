// Prints results on standard output, everything else on standard error.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "velafs/base/status.h"

namespace velafs::pgctl {

// With one field a line. Bytes that are not UTF-8, as text of a branch may have them, are replaced.
std::string PrettyJson(const nlohmann::json& document);

// One thread.
class Output {
 public:
  Output(bool as_json, bool quiet) : as_json_(as_json), quiet_(quiet) {}

  bool as_json() const { return as_json_; }
  // The result: the document under --json, else the text.
  void Print(const nlohmann::json& document, const std::string& text) const;
  // A result that is JSON in any case: on one line with --json, else on many.
  void Print(const nlohmann::json& document) const;
  // The same, but --quiet leaves out the text.
  void Confirm(const nlohmann::json& document, const std::string& text) const;
  // `velapg: warning: ...`, unless --quiet.
  void Warn(const std::string& text) const;
  // `velapg: error: ...` and maybe `velapg: hint: ...`; under --json the failure on standard output
  // too. Returns the exit status.
  int Fail(const Status& failure) const;
  // For one of several tasks: standard error only.
  void Complain(const Status& failure) const;
  bool shows_progress() const;  // standard error is a terminal

 private:
  bool as_json_;
  bool quiet_;
};

// A line on the terminal that shows progress, and is removed at the end.
class Progress {
 public:
  explicit Progress(const Output& output) : output_(output) {}
  ~Progress() { Show(""); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Show(const std::string& text);

 private:
  const Output& output_;
  bool is_shown_ = false;
};

}  // namespace velafs::pgctl
