#include "pgctl-wrapper/command/output.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

TEST_CASE("text that is not UTF-8 is printed with its odd bytes replaced") {
  const nlohmann::json document = {{"schema", "COMMENT ON TABLE t IS 'caf\351';"}};
  CHECK(PrettyJson(document) ==
        "{\n  \"schema\": \"COMMENT ON TABLE t IS 'caf\xef\xbf\xbd';\"\n}\n");
}
