// The files that make a server a standby, or have it read a WAL archive: put aside for a start,
// gone for good only when it succeeds. Everything here is to be called as the data's owner.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/config/overrides.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// A start puts NAME aside as NAME.velapg. Destroyed without Commit(), it puts the files back; if it
// is killed, the next start does.
class SignalFiles {
 public:
  // Puts back what a start that was killed left aside, and removes what it made.
  static Status PutBack(const std::string& data_dir);
  // Puts all of them aside.
  static Result<SignalFiles> PutAside(const std::string& data_dir, int version);

  SignalFiles(SignalFiles&& other) noexcept;
  SignalFiles& operator=(SignalFiles&&) = delete;
  ~SignalFiles();

  // Makes a recovery.signal, which the server removes once it has recovered.
  Status MakeRecoverySignal();
  // What was put aside goes for good: reported in the form of overrides.
  Result<std::vector<Override>> Commit();

 private:
  explicit SignalFiles(std::string data_dir) : data_dir_(std::move(data_dir)) {}

  std::string data_dir_;
  std::vector<std::string> aside_;  // their own names
  bool is_done_ = false;
};

// True when the branch has a file of that name itself.
bool HasSignalFile(const std::string& data_dir, const std::string& name);

}  // namespace velafs::pgctl
