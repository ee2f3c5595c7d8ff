// Ctrl-C and SIGTERM as a question a long command asks itself.
#pragma once

namespace velafs::cli {

// From now on the first such signal only makes Interrupted true; the second one kills.
void CatchInterrupts();
bool Interrupted();
// The signal that did it; 0 if none has.
int InterruptedBy();

}  // namespace velafs::cli
