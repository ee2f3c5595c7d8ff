// Pages and help, of a small program.
#include "velafs/manual.h"

#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <array>

#include "velafs/api/mdoc.h"

namespace velafs {
namespace {

constexpr std::array kTexts = {
    ManualText{"", "A program. See other(7)."},
    ManualText{"grow", "It takes `--by 2` well.\n\n* ONE: The first.\n\n* TWO: The second."},
    ManualText{"pot add", "Adds soil.", ".Fl - Ar WORD"},
};
const Manual kManual = {
    .texts = kTexts, .environment = "None.", .files = "None.", .exit_status = "* 0: Done."};
constexpr char kDocuments[] =
    "| `velafs grow`, `shrink` | `height` `width?` |\n| `velafs grow --all` | `x` |\n"
    "| `grow` | of another table |\n";

struct Plant {
  Plant() {
    CLI::App* grow = app.add_subcommand("grow", "Make a PLANT taller; it keeps its pot");
    grow->add_option("PLANT", name, "The plant")->required();
    grow->add_option("--by", by, "By how much")->type_name("SIZE");
    grow->add_option("--how", how, "How")->check(CLI::IsMember({"fast", "slow"}));
    grow->footer("Example:\n  velafs grow fern --by '2'\n  velafs grow .x\n\nMore about it");
    app.add_subcommand("secret", "Hidden")->group("");
    CLI::App* pot = app.add_subcommand("pot", "Pots");
    pot->add_subcommand("add", "Add a pot");
  }
  std::string name, by, how;
  CLI::App app{"Grows plants.", "velafs"};
};

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a command has a page of what --help says and of its text") {
  Plant plant;
  const auto pages = ManualPages(plant.app, kManual, kDocuments, "January 1, 2026");
  REQUIRE(pages.size() == 3);
  const std::string& grow = pages.at("velafs-grow.1");
  CHECK(Has(grow, ".Dd January 1, 2026\n.Dt VELAFS-GROW 1\n"));
  CHECK(Has(grow, ".Nd make a PLANT taller\n"));
  CHECK(Has(grow,
            ".Nm \"velafs grow\"\n.Op Fl -by Ar SIZE\n.Op Fl -how Cm fast | slow\n.Ar PLANT\n"));
  CHECK(Has(grow,
            "It takes \\fB\\-\\-by 2\\fP well.\n.Bl -tag -width Ds\n.It ONE\nThe first.\n.It TWO"));
  CHECK(Has(grow, ".It Fl -by Ar SIZE\nBy how much.\n"));
  CHECK(Has(grow, "velafs grow fern \\-\\-by \\(aq2\\(aq\nvelafs grow .x\n"));
  CHECK(Has(grow,
            "\\fBvelafs grow \\-\\-json\\fP prints \\fBheight\\fP \\fBwidth?\\fP.\n.Pp\n\\fBvelafs "
            "grow \\-\\-all "));
  CHECK_FALSE(Has(grow, "another table"));
  CHECK_FALSE(Has(grow, "More about it"));
  CHECK(Has(pages.at("velafs.1"), "See\n.Xr other 7 .\n"));
  CHECK(Has(pages.at("velafs.1"), ".Sh SEE ALSO\n.Xr other 7 ,\n.Xr velafs 7\n"));
  CHECK(Has(pages.at("velafs-pot.1"), ".Ss velafs pot add\nAdd a pot.\n.Pp\nAdds soil.\n"));
  CHECK(Has(pages.at("velafs-pot.1"), ".Nm \"velafs pot add\"\n.Fl - Ar WORD\n"));
}

TEST_CASE("help of a command ends with its text") {
  Plant plant;
  const std::array<std::string, 2> words = {"pot", "add"};
  const CLI::App* add = FindCommand(plant.app, words);
  REQUIRE(add != nullptr);
  CHECK(CommandPath(*add) == "pot add");
  const std::string help = HelpWithText(*add, kManual);
  CHECK(help.starts_with("Add a pot\n"));
  CHECK(help.ends_with("\nAdds soil.\n"));
  const std::array<std::string, 1> hidden = {"secret"};
  CHECK(FindCommand(plant.app, hidden) == nullptr);
}

TEST_CASE("text of a page is no macro, and has a line for each sentence") {
  api::MdocWriter page;
  page.Sentences("One (see a). Two e.g. so\n.Three 'x' \\ and a-b.");
  page.Sentences("'quoted' (see velafs(7)), or cat(1).");
  CHECK(page.page() ==
        "One (see a).\nTwo e.g.\nso .Three 'x' \\e and a-b.\n\\&'quoted' (see\n"
        ".Xr velafs 7 ) ,\nor\n.Xr cat 1 .\n");
}

}  // namespace
}  // namespace velafs
