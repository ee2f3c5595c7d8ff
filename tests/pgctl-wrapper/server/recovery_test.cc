#include "pgctl-wrapper/server/recovery.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "pgctl-wrapper/data/signal_files.h"
#include "pgctl-wrapper/process/text_file.h"

using namespace velafs;
using namespace velafs::pgctl;

namespace {

constexpr const char* kLabel =
    "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
    "CHECKPOINT LOCATION: 0/2000060\n";

struct RecoveryFixture {
  RecoveryFixture()
      : dir(std::filesystem::temp_directory_path() / ("data-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(dir / "global");
    std::filesystem::create_directories(dir / "pg_wal");
  }
  ~RecoveryFixture() { std::filesystem::remove_all(dir); }

  void Make(const std::string& name, const std::string& text = "") {
    REQUIRE(WriteTextFile(dir / name, text).ok());
  }
  void MakeControl(uint32_t state) {
    std::string control(8192, 'x');
    std::memcpy(control.data() + 16, &state, sizeof state);
    Make("global/pg_control", control);
  }
  DataState State() {
    const Result<DataState> state = ReadDataState(dir);
    REQUIRE(state.ok());
    return *state;
  }
  bool Has(const std::string& name) { return HasSignalFile(dir, name); }

  std::filesystem::path dir;
};

}  // namespace

TEST_CASE_FIXTURE(RecoveryFixture, "pg_control says whether a plain start is enough") {
  MakeControl(1);
  CHECK(State().is_clean);
  CHECK_FALSE(State().NeedsRecovery());
  MakeControl(6);  // in production: a crash
  CHECK_FALSE(State().is_clean);
  CHECK_FALSE(State().NeedsRecovery());
  for (const uint32_t standbys : {2U, 5U}) {
    MakeControl(standbys);
    CHECK(State().is_standbys_copy);
    CHECK(State().NeedsRecovery());
  }
  Make("global/pg_control", "short");
  CHECK(ReadDataState(dir).status().code() == Code::kCorrupt);
}

TEST_CASE_FIXTURE(RecoveryFixture, "a backup needs its first segment of WAL, which is named") {
  MakeControl(6);
  Make("backup_label", kLabel);
  CHECK(State().NeedsRecovery());
  CHECK(State().first_segment == "000000010000000000000002");
  const Status missing = CheckFirstSegment("pr-1", dir, State());
  CHECK(missing.message().find("segment 000000010000000000000002") != std::string::npos);
  CHECK(missing.hint().find("velapg start pr-1 --recover") != std::string::npos);
  Make("pg_wal/000000010000000000000002");
  CHECK(CheckFirstSegment("pr-1", dir, State()).ok());
  CHECK(FirstSegment("START WAL LOCATION: 0/2 (file ../../../etc/passwd)") == "");
  CHECK(FirstSegment("") == "");
}

TEST_CASE_FIXTURE(RecoveryFixture, "nobody is told to remove backup_label") {
  MakeControl(6);
  Make("backup_label", kLabel);
  Make("pg_wal/000000010000000000000002");
  const std::string log =
      "FATAL:  could not find something\n"
      "HINT:  If you are restoring from a backup, touch \"/m/recovery.signal\" and add options.\n"
      "\tIf you are not restoring from a backup, try removing the file \"/m/backup_label\".\n"
      "\tBe careful: removing \"/m/backup_label\" will result in a corrupt cluster.\n"
      "LOG:  last line\n";
  const Status other = ExplainFailedStart("pr-1", dir, log);
  CHECK(other.hint() == "its log ends with:\nFATAL:  could not find something\nLOG:  last line");
  const Status known = ExplainFailedStart(
      "pr-1", dir, "FATAL:  could not locate required checkpoint record\n" + log);
  CHECK(known.message().find("cannot be recovered") != std::string::npos);
  CHECK(known.hint().find("backup_label") == std::string::npos);
  std::filesystem::remove(dir / "backup_label");  // then an archive is no help
  const Status damaged =
      ExplainFailedStart("pr-1", dir, "FATAL:  could not locate a valid checkpoint record\n");
  CHECK(damaged.hint().find("valid checkpoint record") != std::string::npos);
}

TEST_CASE_FIXTURE(RecoveryFixture, "WAL that ends too early is told by the last segment there is") {
  Make("pg_wal/000000010000000000000004");
  Make("pg_wal/000000010000000000000005");
  Make("pg_wal/00000002.history");
  const Status status =
      ExplainFailedStart("pr-1", dir, "FATAL:  WAL ends before consistent recovery point\n");
  CHECK(status.message().find("in segment 000000010000000000000005") != std::string::npos);
  CHECK(status.hint().find("--recover") != std::string::npos);
  const Status after_archive = ExplainFailedStart(
      "pr-1", dir, "FATAL:  WAL ends before consistent recovery point\n", /*read_archive=*/true);
  CHECK(after_archive.message() == status.message());
  CHECK(after_archive.hint().find("--recover") == std::string::npos);
}

TEST_CASE_FIXTURE(RecoveryFixture, "a tablespace that WAL makes elsewhere is explained") {
  const Status status = ExplainFailedStart(
      "pr-1", dir, "FATAL:  could not create symbolic link \"pg_tblspc/16384\": not permitted\n");
  CHECK(status.hint().find("LOCATION ''") != std::string::npos);
  const Status from_archive = ExplainFailedStart(
      "pr-1", dir, "FATAL:  could not create symbolic link \"pg_tblspc/16384\": not permitted\n",
      /*read_archive=*/true);
  CHECK(from_archive.hint().find("import the data again") == std::string::npos);
  CHECK(from_archive.hint().find("a backup that was made after it") != std::string::npos);
}

TEST_CASE("a recovery from WAL that is there ignores what production's recovery aimed at") {
  const auto value = [](const std::vector<Override>& overrides, const std::string& setting) {
    for (const Override& item : overrides) {
      if (item.setting == setting) return item.value;
    }
    return std::string("absent");
  };
  const auto own = RecoveryOverrides(WalSource::kOwn, {});
  CHECK(value(own, "restore_command") == "false");
  CHECK(value(own, "recovery_target_time") == "");
  CHECK(value(own, "recovery_target_action") == "promote");
  const auto archive = RecoveryOverrides(WalSource::kArchive, {{"restore_command", "cp %f %p"}});
  CHECK(value(archive, "restore_command") == "cp %f %p");
  CHECK(value(archive, "recovery_target_time") == "absent");
}

TEST_CASE_FIXTURE(RecoveryFixture, "a start that fails has changed no signal file") {
  Make("standby.signal", "theirs");
  Make("recovery.signal", "theirs");
  {
    Result<SignalFiles> files = SignalFiles::PutAside(dir, 15);
    REQUIRE(files.ok());
    CHECK_FALSE(Has("standby.signal"));
    REQUIRE(files->MakeRecoverySignal().ok());
    CHECK(Has("recovery.signal"));
  }
  CHECK(*ReadTextFile(dir / "standby.signal") == "theirs");
  CHECK(*ReadTextFile(dir / "recovery.signal") == "theirs");
  CHECK_FALSE(Has("standby.signal.velapg"));
  {
    Result<SignalFiles> files = SignalFiles::PutAside(dir, 15);
    REQUIRE(files.ok());
    CHECK(files->Commit()->size() == 2);
  }
  CHECK_FALSE(Has("standby.signal"));
  CHECK_FALSE(Has("standby.signal.velapg"));
}

TEST_CASE_FIXTURE(RecoveryFixture,
                  "what a start that was killed left aside comes back at the next one") {
  Make("standby.signal.velapg", "theirs");
  Make("recovery.signal", "made by velapg\n");
  REQUIRE(SignalFiles::PutBack(dir).ok());
  CHECK(Has("standby.signal"));
  CHECK_FALSE(Has("recovery.signal"));
  CHECK_FALSE(Has("standby.signal.velapg"));
}
