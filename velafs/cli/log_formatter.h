// Formats lines of a log, whose words may come from untrusted users.
#pragma once

#include <spdlog/formatter.h>

#include <memory>
#include <string>

namespace velafs::cli {

// `prefix`, a pattern of spdlog's with times in UTC, and then the message: one line that a terminal
// only shows (Printable). Names of files and targets of links are in messages as users made them.
std::unique_ptr<spdlog::formatter> LogFormatter(const std::string& prefix);

// Formats such lines for systemd's journal: without a time, with "<4>" before a warning.
std::unique_ptr<spdlog::formatter> JournalFormatter();
// True if standard error is the journal.
bool StderrIsJournal();

}  // namespace velafs::cli
