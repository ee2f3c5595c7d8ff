#include "velafs/catalog/catalog.h"

#include <cerrno>
#include <utility>

#include "velafs/base/mutex.h"
#include "velafs/catalog/group_sync.h"
#include "velafs/catalog/schema.h"
#include "velafs/catalog/statements.h"
#include "velafs/os/space_reserve.h"
#include "velafs/os/storage.h"
#include "velafs/sql/database.h"

namespace velafs::catalog {
namespace {

// Only somebody looking at the database by hand can hold it up.

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string LogPath(const std::string& path) { return path + "-wal"; }

// The settings of every connection. SQLite itself then syncs at checkpoints only: MakeDurable syncs
// the log. A checkpoint each 4096 pages (16 MiB) costs a transaction little on average, and keeps
// recovery short. To overwrite what is deleted would take as much of the log as there was of it.
Status Configure(sql::Database& database) {
  return database.Execute(
      "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 4096;"
      "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -32768;"
      "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY");
}

Status UseLog(sql::Database& database) {
  VELAFS_ASSIGN(const std::string mode, database.Text("PRAGMA journal_mode = WAL"));
  if (mode != "wal") return Failed("the filesystem under it cannot keep a write-ahead log");
  // Has SQLite make the log now, also of a copy, which comes without one.
  return database.Integer("SELECT count(*) FROM sqlite_schema").status();
}

// Empty when there is no such file.
Result<std::optional<os::FileInfo>> StatIfAny(os::Storage& storage, const std::string& path) {
  Result<os::FileInfo> info = storage.Stat(path);
  if (info.ok()) return std::optional<os::FileInfo>(*info);
  if (info.status().error_number() == ENOENT) return std::optional<os::FileInfo>();
  return std::move(info).status();
}

Status Fill(const std::string& path) {
  VELAFS_ASSIGN(const std::unique_ptr<sql::Database> database,
                sql::Database::Open(path, kBusyTimeoutMs));
  VELAFS_TRY(Configure(*database));
  VELAFS_TRY(UseLog(*database));
  VELAFS_TRY(CreateSchema(*database));
  return database->Checkpoint();  // syncs the database file
}

}  // namespace

struct Catalog::State {
  State(std::string catalog_path, os::Storage& catalog_storage)
      : path(std::move(catalog_path)),
        storage(catalog_storage),
        group([this] { return SyncLog(); }) {}
  ~State() {
    MutexLock lock(mutex);
    if (statements == nullptr) return;
    // Only saves the next one to open it a recovery.
    (void)database->Checkpoint();
  }

  Status Open() EXCLUDES(mutex);
  Result<CommitSequence> Write(const std::function<Status(Writer&)>& body) REQUIRES(mutex);
  // Makes durable what an earlier process committed and left in the log.
  Status RecoverLog() REQUIRES(mutex);
  Status SyncLog();
  // Called in turns, by `group`, or before there are threads.
  Status SyncLogAndName();

  const std::string path;
  os::Storage& storage;

  // One transaction at a time; `log` is synced without it.
  Mutex mutex;
  std::unique_ptr<sql::Database> database GUARDED_BY(mutex);
  std::unique_ptr<Statements> statements GUARDED_BY(mutex);
  bool was_out_of_space GUARDED_BY(mutex) = false;  // the last transaction

  // Guarded by the turns of `group`. A second descriptor on the log is harmless, unlike one on the
  // database file: closing that would drop SQLite's POSIX locks. It stays the right file: SQLite
  // makes the log before the first read, and while a connection is open nobody can remove or
  // replace it, only empty it and begin anew.
  std::unique_ptr<os::File> log;
  bool log_name_is_durable = false;

  GroupSync group;
};

Status Catalog::State::Open() {
  MutexLock lock(mutex);
  VELAFS_ASSIGN(const std::optional<os::FileInfo> old_log, StatIfAny(storage, LogPath(path)));
  VELAFS_ASSIGN(database, sql::Database::Open(path, kBusyTimeoutMs));
  VELAFS_TRY(CheckSchema(*database));  // before anything is written to what may be another's file
  VELAFS_TRY(UseLog(*database));
  Result<bool> migrated = MigrateSchema(*database);
  if (!migrated.ok()) {
    const std::string to = std::to_string(kSchemaVersion);
    return std::move(migrated).status().WithContext("cannot bring it to schema version " + to);
  }
  VELAFS_TRY(Configure(*database));
  // On a host that has used up its inodes the next opening could not make another.
  database->KeepLogFile();
  VELAFS_ASSIGN(statements, Statements::Prepare(*database));
  VELAFS_ASSIGN(log, storage.Open(LogPath(path), os::OpenMode::kReadWrite));
  // The log's name too, before a checkpoint may leave the database file half way.
  if (*migrated) VELAFS_TRY(SyncLogAndName());
  return old_log && old_log->size_bytes > 0 ? RecoverLog() : Status();
}

Status Catalog::State::RecoverLog() {
  // What recovery found is visible from now on, so it must be as durable as if it had been asked
  // for. A checkpoint writes it anew: a plain sync could not tell of an earlier one that failed.
  if (database->Checkpoint().ok()) return {};
  // No space for it, perhaps. That must not keep a store from being opened and cleaned up.
  return SyncLogAndName();
}

// Order: the log's content, then (once) its name. A crash in between loses the name of a log nobody
// was told is durable.
Status Catalog::State::SyncLogAndName() {
  VELAFS_TRY(log->Sync(os::SyncKind::kData));
  if (!log_name_is_durable) {
    VELAFS_TRY(storage.SyncDirectory(DirectoryOf(path)));
    log_name_is_durable = true;
  }
  return {};
}

// Commits that are no longer in the log are durable too: SQLite empties it only after it has synced
// the database file.
Status Catalog::State::SyncLog() {
  Status synced = SyncLogAndName().WithContext("cannot make the catalog durable");
  if (synced.ok()) return synced;
  return std::move(synced).WithHint(
      "the command's changes may be kept or lost: unmount the store, check the disk, mount it "
      "again");
}

Catalog::Catalog(std::unique_ptr<State> state) : state_(std::move(state)) {}
Catalog::~Catalog() = default;

Status Catalog::Create(const std::string& path, os::Storage& storage) {
  const std::string context = "cannot make catalog \"" + path + "\"";
  VELAFS_ASSIGN(const std::optional<os::FileInfo> existing, StatIfAny(storage, path));
  if (existing) return Exists("catalog \"" + path + "\" exists");

  // Made whole under another name: a crash leaves no catalog, or all of it. First goes what is left
  // of an earlier attempt, or of a catalog that is no more: SQLite would take its log for ours.
  const std::string draft = path + ".new";
  for (const std::string& leftover :
       {draft, draft + "-journal", LogPath(draft), draft + "-shm", LogPath(path), path + "-shm"}) {
    const Status removed = storage.RemoveFile(leftover);
    if (!removed.ok() && removed.error_number() != ENOENT) {
      return Status(removed).WithContext(context);
    }
  }
  // SQLite would make it readable for others. Closed before SQLite opens it: see State::log.
  if (auto file = storage.Open(draft, os::OpenMode::kCreateNew); !file.ok()) {
    return std::move(file).status().WithContext(context);
  }
  VELAFS_TRY(Fill(draft).WithContext(context));
  VELAFS_TRY(storage.Rename(draft, path).WithContext(context));
  return storage.SyncDirectory(DirectoryOf(path)).WithContext(context);
}

Result<std::unique_ptr<Catalog>> Catalog::Open(const std::string& path, os::Storage& storage) {
  VELAFS_ASSIGN(const std::optional<os::FileInfo> info, StatIfAny(storage, path));
  if (!info) return NotFound("catalog \"" + path + "\" does not exist");
  auto state = std::make_unique<State>(path, storage);
  VELAFS_TRY(state->Open().WithContext("cannot open catalog \"" + path + "\""));
  return std::unique_ptr<Catalog>(new Catalog(std::move(state)));
}

Status Catalog::Read(const std::function<Status(Reader&)>& body) {
  MutexLock lock(state_->mutex);
  VELAFS_ASSIGN(sql::Transaction transaction,
                sql::Transaction::Begin(*state_->database, sql::Transaction::Kind::kRead));
  Reader reader(*state_->statements);
  VELAFS_TRY(body(reader));
  return transaction.Commit();
}

Result<CommitSequence> Catalog::State::Write(const std::function<Status(Writer&)>& body) {
  VELAFS_ASSIGN(sql::Transaction transaction,
                sql::Transaction::Begin(*database, sql::Transaction::Kind::kWrite));
  const int64_t changes_before = database->TotalChanges();
  Writer writer(*statements);
  VELAFS_TRY(body(writer));
  VELAFS_TRY(transaction.Commit());
  // Nothing to make durable beyond what was there.
  if (database->TotalChanges() == changes_before) return group.last_committed();
  return group.Committed();
}

Result<CommitSequence> Catalog::Write(const std::function<Status(Writer&)>& body) {
  MutexLock lock(state_->mutex);
  // The log could not grow. The space it has is there to be used anew, and by now there may be some
  // for what must leave it for the database file.
  if (state_->was_out_of_space) (void)state_->database->ReuseLog();
  Result<CommitSequence> written = state_->Write(body);
  state_->was_out_of_space = os::IsOutOfSpace(written.status());
  return written;
}

Status Catalog::MakeDurable(CommitSequence sequence) { return state_->group.MakeDurable(sequence); }
CommitSequence Catalog::LastCommit() const { return state_->group.last_committed(); }
CommitSequence Catalog::LastDurable() const { return state_->group.last_durable(); }

}  // namespace velafs::catalog
