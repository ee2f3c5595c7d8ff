// Receives requests, completely, before a worker gets them.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "velafs/api/guest.h"
#include "velafs/api/http.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::api {

struct ReceiverLimits {
  size_t header_bytes;
  size_t body_bytes;  // a larger one is thrown away as it comes
  // Bytes of all incomplete requests of guests together; the same again for other callers.
  size_t connections;
  size_t total_bytes;
  std::chrono::milliseconds patience;
};

// One thread receives from all connections at once, so that a slow sender delays nobody. It closes
// a connection whose header is not complete after `patience`. If connections or bytes pass a limit,
// it closes the oldest connection of the guest who has most; guests never displace others.
// Thread-safe.
class Receiver {
 public:
  // Called on the receiver's thread with a complete request or a refused one, also if the patience
  // is over or the peer stopped sending.
  using OnRequest = std::function<void(os::UniqueFd, Request)>;

  Receiver(ReceiverLimits limits, OnRequest on_request);
  ~Receiver();  // stops

  // Fails with the system call's errno.
  Status Start();
  void Add(os::UniqueFd connection, const Guest& owner);
  // Closes the connections whose requests are incomplete. No callback runs after it returns.
  void Stop();

 private:
  struct New {
    os::UniqueFd connection;
    Guest owner;
  };
  struct Incoming {
    os::UniqueFd connection;
    Guest owner;
    std::chrono::steady_clock::time_point deadline;
    RequestParser request;
  };
  // By number, which grows: the first is the oldest, and the first whose patience ends.
  using Connections = std::map<uint64_t, Incoming>;
  // An owner's share of them.
  struct Share {
    std::set<uint64_t> numbers;
    size_t bytes = 0;
  };
  // The two groups with limits: guests, and all others.
  struct Kind {
    size_t connections = 0;
    size_t bytes = 0;
  };

  void Run();
  void ReceiveConnections();
  void Receive(Connections::iterator at);
  void Hand(Connections::iterator at);
  void Drop(Connections::iterator at);
  // Takes it out of the counts and out of connections_.
  Incoming RemoveConnection(Connections::iterator at);
  Kind& KindOf(const Guest& owner) { return kinds_[owner ? 1 : 0]; }
  void DropOldestOfLargest(bool of_guests, size_t (*size_of)(const Share&));
  int TimeLeftMs() const;

  const ReceiverLimits limits_;
  const OnRequest on_request_;
  os::UniqueFd poll_;
  os::UniqueFd wake_;  // an eventfd: something is new, or it is time to stop
  std::thread thread_;

  Mutex mutex_;
  std::vector<New> new_ GUARDED_BY(mutex_);
  bool stop_ GUARDED_BY(mutex_) = false;

  // Of the thread.
  Connections connections_;
  uint64_t next_number_ = 1;
  std::map<Guest, Share> shares_;
  std::array<Kind, 2> kinds_;
};

}  // namespace velafs::api
