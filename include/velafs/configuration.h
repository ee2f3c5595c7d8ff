// Finds the configuration file, and the store that it names.
//
// It is $VELAFS_CONFIG, else /etc/velafs/velafs.conf for root and
// ${XDG_CONFIG_HOME:-~/.config}/velafs/velafs.conf for others, where that exists.
#pragma once

#include <string>

#include "velafs/base/status.h"

namespace velafs {

// Makes this process and its children use that file. Call it before a second thread starts.
void UseConfiguration(const std::string& file);

// Sets $VELAFS_STORE, for this process and its children, to the store that the configuration file
// names, unless `option` (the value of --store) or that variable names one already. StoreDirectory
// (client.h) then finds it. kUsage, with file and line, if the file is not valid. Call it before a
// second thread starts.
Status UseConfiguredStore(const std::string& option);

}  // namespace velafs
