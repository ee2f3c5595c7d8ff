// The configuration file, as far as it says which store a program is about.
//
// It is $VELAFS_CONFIG, else /etc/velafs/velafs.conf for root and
// ${XDG_CONFIG_HOME:-~/.config}/velafs/velafs.conf for others, where that exists.
#pragma once

#include <string>

#include "velafs/base/status.h"

namespace velafs {

// Has this process, and what it starts, use that file; to be called while it has no other thread.
void UseConfiguration(const std::string& file);

// Sets $VELAFS_STORE, for this process and what it starts, to the store that the configuration file
// names, unless `option`, --store's value, or that variable names one. StoreDirectory (client.h)
// then finds it. kUsage, with file and line, when the file is not as it has to be. To be called
// while this process has no other thread.
Status UseConfiguredStore(const std::string& option);

}  // namespace velafs
