#include "pgctl-wrapper/process/text_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

using namespace velafs::pgctl;

TEST_CASE("the last lines of a log are quoted whole, each on its own line") {
  CHECK(QuoteLastLines("it says", "one\ntwo\n") == "it says:\none\ntwo");
  CHECK(QuoteLastLines("it says", "one") == "it says:\none");
}

TEST_CASE("of a long log only the end is quoted") {
  std::string log;
  for (int i = 1; i <= 100; ++i) log += "line " + std::to_string(i) + "\n";
  const std::string quoted = QuoteLastLines("it says", log);
  CHECK(quoted.starts_with("it says:\nline 89\n"));
  CHECK(quoted.ends_with("\nline 100"));
}

TEST_CASE("a program that said nothing is not quoted") {
  CHECK(QuoteLastLines("it says", "") == "");
  CHECK(QuoteLastLines("it says", "\n\n") == "");
}

TEST_CASE("a missing file fails with its name and errno") {
  const auto text = ReadTextFile("/nonexistent/file");
  CHECK(text.status().error_number() == ENOENT);
  CHECK(text.status().message().find("/nonexistent/file") != std::string::npos);
}

TEST_CASE("a file that is too large is refused, however large it is") {
  const std::string path =
      std::filesystem::temp_directory_path() / ("bounded-" + std::to_string(getpid()));
  REQUIRE(WriteTextFile(path, "12345").ok());
  CHECK(*ReadBoundedFile(path, 5) == "12345");
  CHECK(ReadBoundedFile(path, 4).status().code() == velafs::Code::kRefused);
  REQUIRE(truncate(path.c_str(), off_t{1} << 40) == 0);
  CHECK(ReadBoundedFile(path, 4).status().code() == velafs::Code::kRefused);
  std::filesystem::remove(path);
}

TEST_CASE("a FIFO in the place of a file being written is not waited for") {
  const std::string path =
      std::filesystem::temp_directory_path() / ("written-" + std::to_string(getpid()));
  REQUIRE(mkfifo((path + ".new").c_str(), 0600) == 0);
  REQUIRE(WriteTextFile(path, "text").ok());
  CHECK(*ReadTextFile(path) == "text");
  std::filesystem::remove(path);
}
