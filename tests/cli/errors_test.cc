// Every bad input: one line of error, maybe one of hint, the documented exit status, and under
// --json the same as one JSON document.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/api/data_directory.h"
#include "tests/cli/run_velafs.h"
#include "tests/places.h"

namespace velafs::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

void CheckFails(const Velafs& velafs, const Words& words, int exit_status, const std::string& code,
                const std::string& message) {
  std::string shown;
  for (const std::string& word : words) shown += word + " ";
  CAPTURE(shown);

  const Outcome plain = velafs(words);
  CHECK(plain.exit_status == exit_status);
  CHECK(plain.out.empty());
  const std::vector<std::string> lines = LinesOf(plain.err);
  REQUIRE_FALSE(lines.empty());
  CHECK(lines[0] == "velafs: error: " + message);
  CHECK(lines.size() <= 2);
  if (lines.size() == 2) CHECK(lines[1].starts_with("velafs: hint: "));

  Words with_json = words;
  with_json.insert(with_json.begin(), "--json");
  const Outcome as_json = velafs(with_json);
  CHECK(as_json.exit_status == exit_status);
  CHECK(as_json.err == plain.err);
  const json document = as_json.Json();
  REQUIRE(document.is_object());
  CHECK(document["error"]["code"] == code);
  CHECK(document["error"]["message"] == message);
  CHECK(document["error"].contains("hint") == (lines.size() == 2));
}

TEST_CASE("wrong usage is exit status 2, and says what is wrong") {
  const Velafs velafs;
  const auto wrong = [&velafs](const Words& words, const std::string& message) {
    CheckFails(velafs, words, 2, "usage", message);
  };
  wrong({}, "no command given");
  wrong({"frobnicate"}, "unknown command \"frobnicate\"");
  wrong({"bookmark"}, "no command given");
  wrong({"bookmark", "frobnicate"}, "unknown command \"frobnicate\"");
  wrong({"list", "main"}, "unexpected argument \"main\"");
  wrong({"list", "--frobnicate"}, "unknown option \"--frobnicate\"");
  wrong({"show"}, "NAME is required");
  wrong({"show", "a", "b"}, "unexpected argument \"b\"");
  wrong({"clone", "main"}, "NAME is required");
  wrong({"import", "main"}, "give exactly one of --from-dir, --from-tar");
  wrong({"clone", "a", "b", "--label", "ticket"}, "label \"ticket\" is not KEY=VALUE");
  wrong({"clone", "a", "b", "--label", "=42"}, "label \"=42\" is not KEY=VALUE");
  wrong({"clone", "a", "b", "--ttl"}, "option --ttl needs a value");
  wrong({"audit", "--limit", "many"},
        "\"many\", the value of --limit, is not a number, or is out of range");
  wrong({"diff", "a"}, "B is required");
  wrong({"ttl", "a"}, "DURATION is required");
  wrong({"list", "-q", "-v"}, "--quiet and --verbose do not go together");
}

TEST_CASE("a command or option that was mistyped brings up the one that was meant") {
  const Velafs velafs;
  const auto hint = [&velafs](const Words& words) {
    const std::vector<std::string> lines = LinesOf(velafs(words).err);
    return lines.size() == 2 ? lines[1] : "";
  };
  CHECK(hint({"clnoe"}) == "velafs: hint: did you mean \"clone\"?");
  CHECK(hint({"bookmark", "craete"}) == "velafs: hint: did you mean \"create\"?");
  CHECK(hint({"clone", "a", "b", "--tll", "1d"}) == "velafs: hint: did you mean \"--ttl\"?");
  CHECK(hint({"import", "a", "--from-dri", "/x"}) == "velafs: hint: did you mean \"--from-dir\"?");
  velafs.Done({"init"});
  CHECK(hint({"frobnicate"}) == "velafs: hint: see: velafs --help");
  CHECK(hint({"clone", "main", "feature/Login_Page"}).ends_with(", as in feature-login_page"));
}

TEST_CASE("words that only a store can judge are wrong usage too") {
  const Velafs velafs;
  velafs.Done({"init"});
  for (const Words& words : std::vector<Words>{
           {"clone", "a", "b", "--ttl", "soon"},
           {"clone", "a", "b", "--ttl", ""},
           {"clone", "a", "No Such"},
           {"clone", "a", ""},
           {"import", "../x", "--from-dir", "/"},
           {"import", "x", "--from-dir", ""},
           {"bookmark", "create", "main"},
           {"bookmark", "create", "main@"},
           {"bookmark", "delete", "@x"},
       }) {
    const Outcome outcome = velafs(words);
    CAPTURE(words[0]);
    CAPTURE(words.back());
    CHECK(outcome.exit_status == 2);
    CHECK(outcome.err.starts_with("velafs: error: "));
  }
}

TEST_CASE("without a store every command but init is exit status 3") {
  const Velafs velafs;
  for (const Words& words : std::vector<Words>{{"list"},
                                               {"tree"},
                                               {"show", "a"},
                                               {"stats"},
                                               {"scrub"},
                                               {"clone", "a", "b"},
                                               {"delete", "a"},
                                               {"import", "a", "--from-dir", "/tmp"},
                                               {"bookmark", "list"},
                                               {"mount"},
                                               {"umount"}}) {
    CAPTURE(words[0]);
    const Outcome outcome = velafs(words);
    CHECK(outcome.exit_status == 3);
    CHECK(LinesOf(outcome.err)[0].find("\"" + velafs.store() + "\"") != std::string::npos);
  }
}

TEST_CASE("failures of the store keep their exit status and code") {
  const Velafs velafs;
  velafs.Done({"init"});
  const auto code_of = [&velafs](Words words, int exit_status) {
    words.push_back("--json");
    const Outcome outcome = velafs(words);
    CAPTURE(words[0]);
    CHECK(outcome.exit_status == exit_status);
    CHECK(LinesOf(outcome.err).size() <= 2);
    return outcome.Json()["error"]["code"].get<std::string>();
  };
  CHECK(code_of({"init"}, 7) == "exists");
  CHECK(code_of({"show", "none"}, 3) == "not_found");
  CHECK(code_of({"clone", "none", "b"}, 3) == "not_found");
  CHECK(code_of({"clone", "none@x", "b"}, 3) == "not_found");
  CHECK(code_of({"delete", "none"}, 3) == "not_found");
  CHECK(code_of({"bookmark", "create", "none@x"}, 3) == "not_found");
  CHECK(code_of({"bookmark", "list", "none"}, 3) == "not_found");
  CHECK(code_of({"import", "a", "--from-dir", "/nonexistent"}, 3) == "not_found");
  CHECK(code_of({"import", "a", "--from-dir", velafs.scratch.path()}, 4) == "refused");
  CHECK(code_of({"umount"}, 5) == "unreachable");

  const std::string data = MakeDataDirectory(velafs.scratch / "data");
  velafs.Done({"import", "main", "--from-dir", data});
  CHECK(code_of({"import", "main", "--from-dir", data}, 7) == "exists");
  CHECK(code_of({"clone", "main", "main"}, 7) == "exists");
}

TEST_CASE("umount of a store that is not mounted says so") {
  const Velafs velafs;
  velafs.Done({"init"});
  CheckFails(velafs, {"umount"}, 5, "unreachable",
             "store \"" + velafs.store() + "\" is not mounted");
}

TEST_CASE("a full disk behind standard output is a failure") {
  const Velafs velafs;
  velafs.Done({"init"});
  const std::string command = "'" + std::string(kVelafsProgram) + "' --store '" + velafs.store() +
                              "' list > /dev/full 2> '" + (velafs.scratch / "err") + "'";
  const int wait_status = std::system(command.c_str());
  CHECK(WEXITSTATUS(wait_status) == 1);
}

}  // namespace
}  // namespace velafs::test
