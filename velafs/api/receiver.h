// Takes requests in before anybody works on them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::api {

struct ReceiverLimits {
  size_t header_bytes;
  size_t body_bytes;  // what is sent beyond that is thrown away as it comes
  size_t connections;
  size_t total_bytes;  // of all requests that are not whole
  std::chrono::milliseconds patience;
};

// One thread receives from all connections at once, so that who sends slowly, or nothing, keeps
// nobody else waiting. A connection is closed when its header has not come after `patience`, or,
// the oldest first, when there are more connections or bytes than the limits allow. Thread-safe.
class Receiver {
 public:
  // Called on the receiver's thread with a request's first bytes: all of them, or what had come
  // when the patience or the peer's sending came to an end, or the limit of its header was passed.
  using OnRequest = std::function<void(os::UniqueFd, std::string received)>;

  Receiver(ReceiverLimits limits, OnRequest on_request);
  ~Receiver();  // stops

  // Fails with the system call's errno.
  Status Start();
  void Add(os::UniqueFd connection);
  // Closes the connections whose requests are not whole. Nothing is called any more on return.
  void Stop();

 private:
  struct Incoming {
    os::UniqueFd connection;
    std::chrono::steady_clock::time_point deadline;
    std::string received;
    size_t thrown_away = 0;
    // Set once the header has come.
    size_t header_bytes = 0;
    size_t body_bytes = 0;
  };
  // By number, which grows: the first is the oldest, and the first whose patience ends.
  using Connections = std::map<uint64_t, Incoming>;

  void Run();
  void TakeNew();
  void Receive(Connections::iterator at);
  void NoteHeader(Incoming& incoming) const;
  bool IsWhole(const Incoming& incoming) const;
  void Hand(Connections::iterator at);
  void Drop(Connections::iterator at);
  void DropOldest();
  int TimeLeftMs() const;

  const ReceiverLimits limits_;
  const OnRequest on_request_;
  os::UniqueFd poll_;
  os::UniqueFd wake_;  // an eventfd: something is new, or it is time to stop
  std::thread thread_;

  Mutex mutex_;
  std::vector<os::UniqueFd> new_ GUARDED_BY(mutex_);
  bool stop_ GUARDED_BY(mutex_) = false;

  // Of the thread.
  Connections connections_;
  uint64_t next_number_ = 1;
  size_t total_bytes_ = 0;
};

}  // namespace velafs::api
