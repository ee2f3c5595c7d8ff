#include "velafs/sql/database.h"

#include <sqlite3.h>

#include <cerrno>

#include "velafs/sql/host_vfs.h"

namespace velafs::sql {
namespace {

// The errno of a failure that has one of its own; anything else is EIO.
int ErrnoOf(int result, int system_errno) {
  switch (result & 0xff) {
    case SQLITE_FULL:
      return ENOSPC;
    case SQLITE_IOERR:  // SQLITE_FULL is for ENOSPC of pwrite alone
    case SQLITE_CANTOPEN:
      return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EMFILE ||
                     system_errno == ENFILE || system_errno == EACCES || system_errno == EROFS
                 ? system_errno
                 : EIO;
    case SQLITE_NOMEM:
      return ENOMEM;
    case SQLITE_READONLY:
      return EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return EACCES;
    case SQLITE_TOOBIG:
      return EFBIG;
    default:
      return EIO;
  }
}

// What of a database's files could not be done; empty if SQLite does not say.
std::string_view FailedAccess(int result) {
  switch (result) {
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_SHORT_READ:
    case SQLITE_IOERR_FSTAT:
    case SQLITE_IOERR_ACCESS:
      return "cannot read ";
    case SQLITE_IOERR_WRITE:
    case SQLITE_IOERR_TRUNCATE:
      return "cannot write ";
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_DIR_FSYNC:
      return "cannot sync ";
    default:
      return "";
  }
}

// An error of the host's disk, which says nothing about the database on it.
Status DiskError(std::string_view failed_access, const char* path) {
  return std::move(SystemError(EIO, std::string(failed_access) + "\"" + path + "\""))
      .WithHint(
          "the host's disk has failed, see its kernel log (dmesg); the store is not known to be "
          "damaged");
}

Status ToStatus(int result, int system_errno, std::string message) {
  if (result == SQLITE_CONSTRAINT_UNIQUE || result == SQLITE_CONSTRAINT_PRIMARYKEY) {
    return Exists(std::move(message));
  }
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return Corrupt(std::move(message));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Locked(std::move(message));
    default:
      break;
  }
  const int error_number = ErrnoOf(result, system_errno);
  // SQLite words these in several ways, none of which is the system's.
  if (error_number == ENOSPC || error_number == EDQUOT) return Errno(error_number);
  return {Code::kFailed, error_number, std::move(message)};
}

// Why the last call failed. SQLite's own answer is errno as it finds it when the transaction has
// been rolled back; of a failed write the log, or journal, remembers it.
int SystemErrno(sqlite3* handle, int result) {
  if (result == SQLITE_IOERR_WRITE) {
    sqlite3_file* log = nullptr;
    int error_number = 0;
    sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log != nullptr && log->pMethods != nullptr) {
      log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error_number);
    }
    if (error_number != 0) return error_number;
  }
  return sqlite3_system_errno(handle);
}

}  // namespace

Statement& Statement::operator=(Statement&& other) noexcept {
  VELAFS_CHECK(!running_ && !other.running_);
  std::swap(database_, other.database_);
  std::swap(handle_, other.handle_);
  return *this;
}

Statement::~Statement() {
  VELAFS_CHECK(!running_);
  sqlite3_finalize(handle_);
}

Query::Query(Start start) : statement_(start.statement) {
  VELAFS_CHECK(statement_.handle_ != nullptr && !statement_.running_);
  VELAFS_CHECK(static_cast<size_t>(sqlite3_bind_parameter_count(statement_.handle_)) ==
               start.argument_count);
  statement_.running_ = true;
}

Query::~Query() {
  sqlite3_reset(statement_.handle_);  // its result repeats the last step's
  statement_.running_ = false;
}

void Query::CheckBound(int result) {
  if (result != SQLITE_OK) bind_result_ = result;
}

void Query::BindInteger(int index, int64_t value) {
  CheckBound(sqlite3_bind_int64(statement_.handle_, index, value));
}

void Query::BindNull(int index) { CheckBound(sqlite3_bind_null(statement_.handle_, index)); }

void Query::Bind(int index, std::string_view text) {
  // A null pointer would bind NULL.
  CheckBound(sqlite3_bind_text64(statement_.handle_, index, text.empty() ? "" : text.data(),
                                 text.size(), SQLITE_STATIC, SQLITE_UTF8));
}

void Query::Bind(int index, Blob bytes) {
  const void* data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  CheckBound(sqlite3_bind_blob64(statement_.handle_, index, data, bytes.size(), SQLITE_STATIC));
}

Result<bool> Query::Next() {
  if (bind_result_ != SQLITE_OK) return statement_.database_->Fail(bind_result_);
  if (overflow_) return SystemError(EOVERFLOW, "a number does not fit the database");
  if (statement_.database_->transaction_lost_) return Failed("the transaction was rolled back");
  const int result = sqlite3_step(statement_.handle_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return statement_.database_->Fail(result);
}

Status Query::Run() {
  for (;;) {
    VELAFS_ASSIGN(const bool has_row, Next());
    if (!has_row) return {};
  }
}

bool Query::IsNull(int column) const {
  return sqlite3_column_type(statement_.handle_, column) == SQLITE_NULL;
}

int64_t Query::Signed(int column) {
  if (sqlite3_column_type(statement_.handle_, column) != SQLITE_INTEGER) {
    malformed_ = true;
    return 0;
  }
  return sqlite3_column_int64(statement_.handle_, column);
}

uint64_t Query::Unsigned(int column, uint64_t max) {
  const int64_t value = Signed(column);
  if (value < 0 || static_cast<uint64_t>(value) > max) {
    malformed_ = true;
    return 0;
  }
  return static_cast<uint64_t>(value);
}

std::string_view Query::Text(int column) {
  if (sqlite3_column_type(statement_.handle_, column) != SQLITE_TEXT) {
    malformed_ = true;
    return {};
  }
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.handle_, column));
  if (text == nullptr) return {};  // out of memory; the next step says so
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_.handle_, column))};
}

Blob Query::Bytes(int column) {
  if (sqlite3_column_type(statement_.handle_, column) != SQLITE_BLOB) {
    malformed_ = true;
    return {};
  }
  const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_.handle_, column));
  return {data, static_cast<size_t>(sqlite3_column_bytes(statement_.handle_, column))};
}

Status Query::CheckRow(std::string_view what) const {
  return malformed_ ? Corrupt("a row of " + std::string(what) + " is malformed") : Status();
}

void Database::Close::operator()(sqlite3* handle) const {
  VELAFS_CHECK(sqlite3_close(handle) == SQLITE_OK);  // fails on statements that are left
}

Database::Database(sqlite3* handle) : owner_(handle), handle_(handle) {}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path, int busy_timeout_ms,
                                                 Access access) {
  sqlite3* handle = nullptr;
  const int mode = access == Access::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  // NOMUTEX: callers serialise, and know better where.
  const int result = sqlite3_open_v2(path.c_str(), &handle, mode | SQLITE_OPEN_NOMUTEX, HostVfs());
  if (handle == nullptr) return SystemError(ENOMEM, "cannot open \"" + path + "\"");
  std::unique_ptr<Database> database(new Database(handle));
  if (result != SQLITE_OK)
    return database->Fail(result).WithContext("cannot open \"" + path + "\"");
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, busy_timeout_ms);
  VELAFS_TRY(database->PrepareTransactions());
  return database;
}

Status Database::PrepareTransactions() {
  VELAFS_ASSIGN(begin_read_, Prepare("BEGIN"));
  VELAFS_ASSIGN(begin_write_, Prepare("BEGIN IMMEDIATE"));
  VELAFS_ASSIGN(commit_, Prepare("COMMIT"));
  VELAFS_ASSIGN(rollback_, Prepare("ROLLBACK"));
  return {};
}

Status Database::Fail(int result) {
  if (in_transaction_ && sqlite3_get_autocommit(handle_) != 0) transaction_lost_ = true;
  const int error_number = SystemErrno(handle_, result);
  const std::string_view failed_access = FailedAccess(result);
  if (!failed_access.empty() && ErrnoOf(result, error_number) == EIO) {
    const char* const path = sqlite3_db_filename(handle_, "main");
    return DiskError(failed_access, path != nullptr ? path : "");
  }
  return ToStatus(result, error_number, sqlite3_errmsg(handle_));
}

Result<Statement> Database::Prepare(std::string_view text) {
  Statement statement;
  statement.database_ = this;
  const int result = sqlite3_prepare_v3(handle_, text.data(), static_cast<int>(text.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement.handle_, nullptr);
  if (result != SQLITE_OK) return Fail(result);
  VELAFS_CHECK(statement.handle_ != nullptr);
  return statement;
}

Status Database::Execute(const std::string& text) {
  const int result = sqlite3_exec(handle_, text.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? Status() : Fail(result);
}

Result<int64_t> Database::Integer(std::string_view text) {
  VELAFS_ASSIGN(Statement statement, Prepare(text));
  Query query(statement);
  VELAFS_ASSIGN(const bool has_row, query.Next());
  if (!has_row) return Corrupt("\"" + std::string(text) + "\" has no answer");
  const int64_t value = query.Signed(0);
  VELAFS_TRY(query.CheckRow(text));
  VELAFS_TRY(query.Run());  // what the statement does is done, or fails, at its end
  return value;
}

Result<std::string> Database::Text(std::string_view text) {
  VELAFS_ASSIGN(Statement statement, Prepare(text));
  Query query(statement);
  VELAFS_ASSIGN(const bool has_row, query.Next());
  if (!has_row) return Corrupt("\"" + std::string(text) + "\" has no answer");
  std::string value(query.Text(0));
  VELAFS_TRY(query.CheckRow(text));
  VELAFS_TRY(query.Run());
  return value;
}

void Database::KeepLogFile() {
  int keeps = 1;
  // A VFS that cannot is one of tests.
  sqlite3_file_control(handle_, "main", SQLITE_FCNTL_PERSIST_WAL, &keeps);
}

int64_t Database::LastInsertId() const { return sqlite3_last_insert_rowid(handle_); }
int64_t Database::Changes() const { return sqlite3_changes64(handle_); }
int64_t Database::TotalChanges() const { return sqlite3_total_changes64(handle_); }

Status Database::RunCheckpoint(int mode) {
  const int result = sqlite3_wal_checkpoint_v2(handle_, nullptr, mode, nullptr, nullptr);
  return result == SQLITE_OK ? Status() : Fail(result);
}

Status Database::Checkpoint() { return RunCheckpoint(SQLITE_CHECKPOINT_TRUNCATE); }
Status Database::ReuseLog() { return RunCheckpoint(SQLITE_CHECKPOINT_PASSIVE); }

Result<Transaction> Transaction::Begin(Database& database, Kind kind) {
  VELAFS_CHECK(!database.in_transaction_);
  VELAFS_TRY(Query(kind == Kind::kRead ? database.begin_read_ : database.begin_write_).Run());
  database.in_transaction_ = true;
  return Transaction(database);
}

Transaction::~Transaction() {
  if (database_ != nullptr) Rollback();
}

Status Transaction::Commit() {
  VELAFS_CHECK(database_ != nullptr);
  Status committed = Query(database_->commit_).Run();
  if (!committed.ok()) {
    Rollback();
    return committed;
  }
  database_->in_transaction_ = false;
  database_ = nullptr;
  return {};
}

void Transaction::Rollback() {
  database_->in_transaction_ = false;
  database_->transaction_lost_ = false;
  if (sqlite3_get_autocommit(database_->handle_) == 0) {
    // Fails only where SQLite has rolled back already, or will when it next reads the file.
    (void)Query(database_->rollback_).Run();
  }
  database_ = nullptr;
}

}  // namespace velafs::sql
