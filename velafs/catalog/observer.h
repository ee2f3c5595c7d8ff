// A second connection to a catalog, for whoever reads at length: it holds up neither the catalog's
// writers nor its readers, whether they are in this process or another.
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
  // Fails as Catalog::Open does. The file is only read; but one of an earlier schema version is
  // brought to this one first, as by any opening.
  static Result<std::unique_ptr<Observer>> Open(const std::string& path);
  ~Observer();

  // Runs `body` on one state of the catalog. While it runs, the log of the catalog only grows.
  Status Read(const std::function<Status(Reader&)>& body);
  template <ReturnsResult Body>
  auto Read(Body&& body) {
    return ReadValue(*this, body);
  }
  // What is wrong with the catalog in itself, a sentence for each, some hundreds at most: first
  // what SQLite finds, then what the rest of velafs relies on.
  Result<std::vector<std::string>> FindDamage();
  // Writes the catalog as it is at this moment, without gaps, to `path`, which must be an empty
  // file. Nothing is synced.
  Status CopyTo(const std::string& path);

 private:
  struct State;
  explicit Observer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace velafs::catalog
