#include "velafs/cli/interrupt.h"

#include <csignal>

namespace velafs::cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;

void OnSignal(int number) { interrupted = number; }

}  // namespace

void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // what waits for a pipe's reader waits no more
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool Interrupted() { return interrupted != 0; }

int InterruptedBy() { return interrupted; }

}  // namespace velafs::cli
