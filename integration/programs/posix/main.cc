// Checks that a directory's filesystem behaves as POSIX, and Linux with ext4, have it.
//
//   posix_check DIRECTORY [--label TEXT] [doctest's options]
//
// Prints a line for each case, and what was wrong above it. Cases of the suite "root" need root and
// are left out for others; those of "slow" run only when asked for with `--slow`.
#define DOCTEST_CONFIG_IMPLEMENT
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "integration/programs/posix/posix.h"

namespace {

std::string label;
std::filesystem::path top;

// One line for a case, as integration/lib.sh's `report`.
class LineReporter : public doctest::IReporter {
 public:
  explicit LineReporter(const doctest::ContextOptions&) {}

  void test_case_start(const doctest::TestCaseData& test) override {
    test_ = &test;
    const std::filesystem::path directory = top / ("case" + std::to_string(++number_));
    std::filesystem::remove_all(directory);
    std::filesystem::create_directory(directory);
    std::filesystem::permissions(directory, std::filesystem::perms(0777));
    std::filesystem::current_path(directory);
  }
  void test_case_end(const doctest::CurrentTestCaseStats& result) override {
    const char* verdict = result.failure_flags == 0 ? "PASS" : "FAIL";
    const std::string name = label + test_->m_name;
    std::printf("  %s  %-78s %7d ms\n", verdict, name.c_str(),
                static_cast<int>(result.seconds * 1000));
    std::fflush(stdout);
    const std::filesystem::path directory = std::filesystem::current_path();
    std::filesystem::current_path(top);
    std::filesystem::remove_all(directory);
  }
  void log_assert(const doctest::AssertData& check) override {
    if (!check.m_failed) return;
    Explain(check.m_file, check.m_line,
            std::string(check.m_expr) + " is " + check.m_decomp.c_str());
  }
  void test_case_exception(const doctest::TestCaseException& failure) override {
    Explain(test_->m_file.c_str(), static_cast<int>(test_->m_line), failure.error_string.c_str());
  }
  void log_message(const doctest::MessageData& message) override {
    Explain(message.m_file, message.m_line, message.m_string.c_str());
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

 private:
  static void Explain(const char* file, int line, const std::string& what) {
    std::printf("        %s:%d: %s\n", std::filesystem::path(file).filename().c_str(), line,
                what.c_str());
    const int contexts = doctest::IReporter::get_num_active_contexts();
    for (int i = 0; i < contexts; ++i) {
      std::ostringstream context;
      doctest::IReporter::get_active_contexts()[i]->stringify(&context);
      std::printf("          with %s\n", context.str().c_str());
    }
  }

  const doctest::TestCaseData* test_ = nullptr;
  int number_ = 0;
};
REGISTER_REPORTER("line", 1, LineReporter);

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY [--label TEXT] [--slow] [OPTION...]\n", argv[0]);
    return 2;
  }
  top = std::filesystem::absolute(argv[1]);
  doctest::Context context;
  bool with_slow = false;
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], "--label") == 0 && i + 1 < argc) label = argv[i + 1];
    if (std::strcmp(argv[i], "--slow") == 0) with_slow = true;
  }
  context.applyCommandLine(argc, argv);
  context.setOption("reporters", "line");
  if (geteuid() != 0) context.addFilter("test-suite-exclude", "*root*");
  if (!with_slow) context.addFilter("test-suite-exclude", "*slow*");
  umask(022);
  return context.run();
}
