#include "pgctl-wrapper/data/schema_text.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

TEST_CASE("two dumps of one schema are equal, whatever keys were drawn for them") {
  const auto dump = [](const std::string& key) {
    return "--\n-- PostgreSQL database dump\n--\n\n\\restrict " + key +
           "\n\nCREATE TABLE public.t (a integer);\n\n\\unrestrict " + key + "\n";
  };
  const std::string schema =
      WithoutRestrictKeys(dump("BuPEreSSQskOV5Dt9jUlUv9gSE4gnZFVwhBDObj79Kp7L7KGj46nslE9DuHxGjL"));
  CHECK(schema == WithoutRestrictKeys(
                      dump("iafa7v50zCc4Q4rp56BsMrY1CODXwFNZBetEOgXaf2awS7oksNmtuLLjHOoZoE8")));
  CHECK(schema ==
        "--\n-- PostgreSQL database dump\n--\n\n\nCREATE TABLE public.t (a integer);\n\n");
}

TEST_CASE("a schema's own text about restrictions is compared") {
  const std::string dump =
      "CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $$\nSELECT '\n"
      "\\restrict access\n"
      "\\unrestrict \n"
      "\\restrict one two three four five six seven eight nine\n"
      " \\restrict BuPEreSSQskOV5Dt9jUlUv9gSE4gnZFVwhBDObj79Kp7L7KGj46nslE9DuHxGjL\n"
      "'$$;\n";
  CHECK(WithoutRestrictKeys(dump) == dump);
}
