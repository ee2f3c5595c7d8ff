// Completion: the words that may follow on a command line of velafs or velapg.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace velafs {

// The completions of the last of `words`, which may be empty: commands, options, values of options,
// and names in the store. `app` is the program's grammar, and says the kind of an argument:
//
//   * by its type: {one,of,these}, BRANCH, USER, DIR, FILE;
//   * by how its description begins: "Branch", "Bookmark", "Branch, or bookmark", "Deleted branch",
//     "Pool", of the caller's own; with KEY in it also names of policies.
//
// Words with other characters than A-Z a-z 0-9 . _ @ : = + - are left out: a shell could run them.
// Instead of words, the shell's own: ":files", ":directories", or ":commands" for a program to run.
std::vector<std::string> Candidates(const CLI::App& app, std::vector<std::string> words);

}  // namespace velafs
