// The lines of a log, whoever chose the words in them.
#pragma once

#include <spdlog/formatter.h>

#include <memory>
#include <string>

namespace velafs::cli {

// `prefix`, a pattern of spdlog's with times in UTC, and then the message: one line that a terminal
// only shows (Printable). Names of files and targets of links are in messages as users made them.
std::unique_ptr<spdlog::formatter> LogFormatter(const std::string& prefix);

// Such lines for systemd's journal, which has times of its own, and takes "<4>" for a warning.
std::unique_ptr<spdlog::formatter> JournalFormatter();
// Whether standard error leads to the journal.
bool StderrIsJournal();

}  // namespace velafs::cli
