#include "velafs/api/receiver.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

namespace velafs::api {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint64_t kWakeNumber = 0;
constexpr size_t kReceiveBytes = 64 * 1024;

Status Watch(int poll, int fd, uint64_t number) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.u64 = number;
  if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return SystemError(errno, "cannot watch a connection");
}

}  // namespace

Receiver::Receiver(ReceiverLimits limits, OnRequest on_request)
    : limits_(limits), on_request_(std::move(on_request)) {}

Receiver::~Receiver() { Stop(); }

Status Receiver::Start() {
  poll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!poll_) return SystemError(errno, "cannot wait for requests");
  wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return SystemError(errno, "cannot wait for requests");
  VELAFS_TRY(Watch(poll_.get(), wake_.get(), kWakeNumber));
  thread_ = std::thread([this] { Run(); });
  return {};
}

void Receiver::Add(os::UniqueFd connection, const Guest& owner) {
  {
    MutexLock lock(mutex_);
    if (stop_) return;
    new_.push_back({std::move(connection), owner});
  }
  eventfd_write(wake_.get(), 1);
}

void Receiver::Stop() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  if (!thread_.joinable()) return;
  eventfd_write(wake_.get(), 1);
  thread_.join();
  while (!connections_.empty()) Drop(connections_.begin());
  MutexLock lock(mutex_);
  new_.clear();
}

void Receiver::Run() {
  std::array<epoll_event, 64> events;
  while (true) {
    const int count =
        epoll_wait(poll_.get(), events.data(), static_cast<int>(events.size()), TimeLeftMs());
    for (int i = 0; i < count; ++i) {
      const uint64_t number = events[static_cast<size_t>(i)].data.u64;
      if (number == kWakeNumber) {
        eventfd_t ignored = 0;
        eventfd_read(wake_.get(), &ignored);
      } else if (const auto found = connections_.find(number); found != connections_.end()) {
        Receive(found);
      }
    }
    {
      MutexLock lock(mutex_);
      if (stop_) return;
    }
    ReceiveConnections();
    const auto now = steady_clock::now();
    while (!connections_.empty() && connections_.begin()->second.deadline <= now) {
      const auto oldest = connections_.begin();
      oldest->second.request.has_header() ? Hand(oldest) : Drop(oldest);
    }
  }
}

int Receiver::TimeLeftMs() const {
  if (connections_.empty()) return -1;
  const auto left =
      std::chrono::ceil<milliseconds>(connections_.begin()->second.deadline - steady_clock::now());
  return static_cast<int>(std::max<milliseconds::rep>(left.count(), 0));
}

void Receiver::ReceiveConnections() {
  std::vector<New> taken;
  {
    MutexLock lock(mutex_);
    taken.swap(new_);
  }
  for (New& one : taken) {
    Kind& kind = KindOf(one.owner);
    if (kind.connections >= limits_.connections) {
      DropOldestOfLargest(one.owner.has_value(), [](const Share& of) { return of.numbers.size(); });
    }
    const uint64_t number = next_number_++;
    if (!Watch(poll_.get(), one.connection.get(), number).ok()) continue;
    connections_.emplace(number, Incoming{.connection = std::move(one.connection),
                                          .owner = one.owner,
                                          .deadline = steady_clock::now() + limits_.patience,
                                          .request = {limits_.header_bytes, limits_.body_bytes}});
    ++kind.connections;
    shares_[one.owner].numbers.insert(number);
  }
}

void Receiver::Receive(Connections::iterator at) {
  Incoming& incoming = at->second;
  std::array<char, kReceiveBytes> buffer;
  const ssize_t got = recv(incoming.connection.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const size_t held_before = incoming.request.held_bytes();
  if (got < 0 || (got == 0 && held_before == 0)) return Drop(at);
  if (got == 0) return Hand(at);
  incoming.request.Put({buffer.data(), static_cast<size_t>(got)});
  const size_t added = incoming.request.held_bytes() - held_before;
  Kind& kind = KindOf(incoming.owner);
  kind.bytes += added;
  shares_[incoming.owner].bytes += added;
  if (incoming.request.is_over()) return Hand(at);
  const bool is_guest = incoming.owner.has_value();
  while (kind.bytes > limits_.total_bytes) {
    DropOldestOfLargest(is_guest, [](const Share& of) { return of.bytes; });
  }
}

Receiver::Incoming Receiver::RemoveConnection(Connections::iterator at) {
  Incoming taken = std::move(at->second);
  Kind& kind = KindOf(taken.owner);
  --kind.connections;
  kind.bytes -= taken.request.held_bytes();
  const auto share = shares_.find(taken.owner);
  share->second.bytes -= taken.request.held_bytes();
  share->second.numbers.erase(at->first);
  if (share->second.numbers.empty()) shares_.erase(share);
  connections_.erase(at);
  return taken;
}

void Receiver::Hand(Connections::iterator at) {
  Incoming whole = RemoveConnection(at);
  epoll_ctl(poll_.get(), EPOLL_CTL_DEL, whole.connection.get(), nullptr);
  on_request_(std::move(whole.connection), whole.request.TakeRequest());
}

// Closing a descriptor, of which there is one, ends the watch.
void Receiver::Drop(Connections::iterator at) { RemoveConnection(at); }

void Receiver::DropOldestOfLargest(bool of_guests, size_t (*size_of)(const Share&)) {
  const Share* largest = nullptr;
  for (const auto& [owner, share] : shares_) {
    if (owner.has_value() != of_guests) continue;
    const bool is_larger =
        largest == nullptr || size_of(share) > size_of(*largest) ||
        (size_of(share) == size_of(*largest) && *share.numbers.begin() < *largest->numbers.begin());
    if (is_larger) largest = &share;
  }
  if (largest != nullptr) Drop(connections_.find(*largest->numbers.begin()));
}

}  // namespace velafs::api
