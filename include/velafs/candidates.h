// What may follow the words of a command line: what shells ask when Tab is pressed, of velafs and
// of velapg alike.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace velafs {

// What the last of `words`, which may be empty, can become: commands, options, values of options,
// and names that the store has. `app` is the program's grammar, and says the kind of an argument:
//
//   * by its type: {one,of,these}, BRANCH, USER, DIR, FILE;
//   * by how its description begins: "Branch", "Bookmark", "Branch, or bookmark", "Deleted branch",
//     "Pool", of the caller's own; with KEY in it also names of policies.
//
// Words with other characters than A-Z a-z 0-9 . _ @ : = + - are left out: a shell could run them.
// Instead of words, the shell's own: ":files", ":directories", or ":commands" for a program to run.
std::vector<std::string> Candidates(const CLI::App& app, std::vector<std::string> words);

}  // namespace velafs
