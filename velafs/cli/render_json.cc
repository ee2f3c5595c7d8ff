#include "velafs/cli/render_json.h"

#include "velafs/api/wire.h"

namespace velafs::cli {

std::string RenderJson(const nlohmann::json& result) { return api::ToText(result) + "\n"; }

}  // namespace velafs::cli
