// A second connection to a catalog, for long reads: it blocks neither the catalog's writers nor its
// readers, in this process or another.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"

namespace velafs::catalog {

// One thread.
class Observer {
 public:
  // Fails as Catalog::Open does. Only reads the file, but brings one of an earlier schema version
  // to this one first.
  static Result<std::unique_ptr<Observer>> Open(const std::string& path);
  ~Observer();

  // Runs `body` on one state of the catalog. While it runs, the log of the catalog only grows.
  Status Read(const std::function<Status(Reader&)>& body);
  template <ReturnsResult Body>
  auto Read(Body&& body) {
    return ReadValue(*this, body);
  }
  // Checks the catalog in itself, and returns a sentence for each fault, some hundreds at most:
  // those that SQLite finds, then broken assumptions of velafs.
  Result<std::vector<std::string>> FindDamage();
  // Writes the present state of the catalog, without free pages, to `path`, which must be an empty
  // file. Does not sync it.
  Status CopyTo(const std::string& path);

 private:
  struct State;
  explicit Observer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace velafs::catalog
