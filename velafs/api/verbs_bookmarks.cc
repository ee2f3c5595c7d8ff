// The verbs on bookmarks.
#include <optional>
#include <string>

#include "velafs/api/call.h"
#include "velafs/api/documents.h"
#include "velafs/store/bookmark_verbs.h"

namespace velafs::api {

using nlohmann::json;

Answer BookmarkCreate(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::string note = call.arguments.Text("note").value_or("");
  const auto keep = call.arguments.Duration("keep");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const store::BookmarkInfo bookmark,
                call.store.bookmarks().Create(call.caller, name, note, keep));
  return BookmarkToJson(bookmark);
}

Answer BookmarkList(Call& call) {
  const std::optional<std::string> branch = call.arguments.Text("branch");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const std::vector<store::BookmarkInfo> bookmarks,
                call.store.bookmarks().List(branch));
  json list = json::array();
  for (const store::BookmarkInfo& bookmark : bookmarks) list.push_back(BookmarkToJson(bookmark));
  return json{{"bookmarks", std::move(list)}};
}

Answer BookmarkDelete(Call& call) {
  const std::string name = call.arguments.Required("name");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_TRY(call.store.bookmarks().Delete(call.caller, name));
  return json{{"name", name}};
}

}  // namespace velafs::api
