// Lets a long command end in order after Ctrl-C or SIGTERM.
#pragma once

namespace velafs::cli {

// From now on the first such signal only makes Interrupted true; a second one ends the process.
void CatchInterrupts();
bool Interrupted();
// The signal that did it; 0 if none has.
int InterruptedBy();

}  // namespace velafs::cli
