// The files that make a server a standby, or make it read a WAL archive. They are renamed for a
// start, and removed only if the start succeeds. Call everything here as the data's owner.
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
  // Restores files that a killed start had renamed, and removes files that it had made.
  static Status PutBack(const std::string& data_dir);
  // Puts all of them aside.
  static Result<SignalFiles> PutAside(const std::string& data_dir, int version);

  SignalFiles(SignalFiles&& other) noexcept;
  SignalFiles& operator=(SignalFiles&&) = delete;
  ~SignalFiles();

  // Makes a recovery.signal, which the server removes once it has recovered.
  Status MakeRecoverySignal();
  // Removes the renamed files for good, and reports them as overrides.
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
