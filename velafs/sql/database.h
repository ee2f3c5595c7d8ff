// The only user of SQLite: connection, prepared statement, run of a statement, transaction.
//
// SQLite's errors become Status with SQLite's own message: no space is ENOSPC or EDQUOT in the
// system's words, a damaged file or one that is no database is Corrupt, failed I/O is EIO, a row
// that would break uniqueness is Exists, a lock another process holds is Locked.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace velafs::sql {

using Blob = std::span<const std::byte>;

inline Blob AsBlob(std::string_view bytes) {
  return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}
inline std::string_view AsBytes(Blob blob) {
  return {reinterpret_cast<const char*>(blob.data()), blob.size()};
}

class Database;

// A prepared statement. Belongs to its database, which must outlive it. One thread at a time.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept { *this = std::move(other); }
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

 private:
  friend class Database;
  friend class Query;
  Database* database_ = nullptr;
  sqlite3_stmt* handle_ = nullptr;
  bool running_ = false;
};

// One run of a statement: binds one argument to each of its parameters, gives its rows, and makes
// the statement ready for the next run when destroyed. A statement has one run at a time. Arguments
// are borrowed for as long as the run lives. One thread.
//
// Columns count from 0. A column of another type or range than asked for reads as 0 or empty and
// marks the row as malformed: CheckRow then fails, once for all columns of the row.
class Query {
 public:
  // Integers, ids, text (std::string_view), bytes (Blob), and std::optional of them for NULL.
  template <typename... Args>
  explicit Query(Statement& statement, const Args&... args)
      : Query(Start{statement, sizeof...(args)}) {
    [[maybe_unused]] int index = 0;
    (Bind(++index, args), ...);
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query();

  // Steps to the next row; false if there is none. EOVERFLOW for an argument past SQLite's 63 bits.
  Result<bool> Next();
  // Runs a statement and ignores its rows.
  Status Run();
  // Calls `take` for every row and fails with Corrupt, naming `what`, on a malformed one.
  template <typename Take>
  Status ForEach(std::string_view what, Take take) {
    for (;;) {
      VELAFS_ASSIGN(const bool has_row, Next());
      if (!has_row) return {};
      take(*this);
      VELAFS_TRY(CheckRow(what));
    }
  }

  bool IsNull(int column) const;
  int64_t Signed(int column);
  // 0 .. `max`.
  uint64_t Unsigned(int column, uint64_t max = INT64_MAX);
  template <typename T>
  T IdAt(int column) {
    return T(Unsigned(column, kLargestId<T>));
  }
  bool Bool(int column) { return Unsigned(column, 1) != 0; }
  // Valid until the next step.
  std::string_view Text(int column);
  Blob Bytes(int column);

  // For a caller that finds the row malformed itself.
  void MarkMalformed() { malformed_ = true; }
  Status CheckRow(std::string_view what) const;

 private:
  struct Start {
    Statement& statement;
    size_t argument_count;
  };
  explicit Query(Start start);

  void BindInteger(int index, int64_t value);
  void BindNull(int index);
  void Bind(int index, std::string_view text);
  void Bind(int index, Blob bytes);
  template <std::integral T>
  void Bind(int index, T value) {
    if constexpr (!std::same_as<T, bool>) overflow_ |= !std::in_range<int64_t>(value);
    BindInteger(index, static_cast<int64_t>(value));
  }
  template <typename Tag>
  void Bind(int index, Id<Tag> id) {
    Bind(index, id.value);
  }
  template <typename T>
  void Bind(int index, const std::optional<T>& value) {
    if (value) {
      Bind(index, *value);
    } else {
      BindNull(index);
    }
  }

  void CheckBound(int result);

  Statement& statement_;
  int bind_result_ = 0;
  bool overflow_ = false;
  bool malformed_ = false;
};

// A connection to one database file. One thread at a time. Must outlive its statements and
// transactions.
class Database {
 public:
  // kReadOnly never changes the file, also if it is the last connection to close it.
  enum class Access { kReadWrite, kReadOnly };
  // Opens an existing file. Reads nothing yet: if the file is no database, the first query fails.
  // Waits up to `busy_timeout_ms` for another process's lock.
  static Result<std::unique_ptr<Database>> Open(const std::string& path, int busy_timeout_ms,
                                                Access access = Access::kReadWrite);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<Statement> Prepare(std::string_view text);
  // Runs statements separated by semicolons, without arguments, and ignores their rows.
  Status Execute(const std::string& text);
  // The one integer, or text, that `text` selects.
  Result<int64_t> Integer(std::string_view text);
  Result<std::string> Text(std::string_view text);

  int64_t LastInsertId() const;
  // Rows changed by the last statement; by all statements since the connection was opened.
  int64_t Changes() const;
  int64_t TotalChanges() const;

  // WAL mode: copies all of the log into the database file, makes that durable and empties the log.
  // Locked if a reader of another process prevents it.
  Status Checkpoint();
  // WAL mode: copies as much of the log as possible into the database file. If that is all of it,
  // the next transaction begins the log anew, in its present space.
  Status ReuseLog();
  // WAL mode: from now on closing the database keeps the log's file, empty.
  void KeepLogFile();

 private:
  friend class Query;
  friend class Transaction;
  explicit Database(sqlite3* handle);
  Status PrepareTransactions();
  Status RunCheckpoint(int mode);
  // The Status of a failed call with that `result`. Notes if SQLite ended the transaction itself.
  Status Fail(int result);

  struct Close {
    void operator()(sqlite3* handle) const;
  };
  const std::unique_ptr<sqlite3, Close> owner_;  // first: outlives the statements below
  sqlite3* const handle_;
  Statement begin_read_, begin_write_, commit_, rollback_;
  bool in_transaction_ = false;
  bool transaction_lost_ = false;  // rolled back by SQLite: nothing may run until it ends
};

// A transaction from Begin to Commit. Destroyed before Commit, it is rolled back. One thread.
class Transaction {
 public:
  enum class Kind { kRead, kWrite };  // kWrite takes the write lock at once
  static Result<Transaction> Begin(Database& database, Kind kind);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  ~Transaction();

  // After a failure the transaction has been rolled back.
  Status Commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  void Rollback();
  Database* database_;
};

}  // namespace velafs::sql
