#include "velafs/cli/render_tree.h"

#include <map>
#include <vector>

#include "velafs/cli/render_cells.h"
#include "velafs/cli/table.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct TreeRow {
  std::string lines;  // drawn before the name
  const json* node;
  bool is_bookmark;
};

class Tree {
 public:
  explicit Tree(const json& tree);
  // In the order they are drawn. Without recursion: a chain of clones may be thousands deep.
  std::vector<TreeRow> Rows() const;

 private:
  struct Node {
    const json* node;
    bool is_bookmark;
  };
  // What is drawn below a branch or a bookmark: each has a name that no other has.
  std::map<std::string, std::vector<Node>> below_;
};

// Those whose parent is no more are roots, below "".
Tree::Tree(const json& tree) {
  std::map<uint64_t, std::string> names;
  for (const json& branch : tree.at("branches")) {
    names[branch.value("id", uint64_t{0})] = Text(branch, "name");
  }
  std::map<std::string, bool> is_bookmark;
  for (const json& bookmark : tree.at("bookmarks")) {
    below_[Text(bookmark, "branch")].push_back({&bookmark, true});
    is_bookmark[Text(bookmark, "name")] = true;
  }
  for (const json& branch : tree.at("branches")) {
    const json parent = branch.value("parent_id", json());
    const auto found = parent.is_number() ? names.find(parent.get<uint64_t>()) : names.end();
    std::string above = found == names.end() ? "" : found->second;
    const std::string bookmark = Text(branch, "parent_bookmark", "");
    if (!above.empty() && is_bookmark.contains(bookmark)) above = bookmark;
    below_[above].push_back({&branch, false});
  }
}

std::vector<TreeRow> Tree::Rows() const {
  struct Pending {
    Node node;
    std::string above;  // lines of the ancestors
    bool is_root;
    bool is_last;
  };
  std::vector<Pending> stack;
  const auto push = [&](const std::string& parent, const std::string& above) {
    const auto found = below_.find(parent);
    if (found == below_.end()) return;
    const std::vector<Node>& nodes = found->second;
    for (size_t i = nodes.size(); i-- > 0;) {
      stack.push_back({nodes[i], above, parent.empty(), i + 1 == nodes.size()});
    }
  };
  std::vector<TreeRow> rows;
  push("", "");
  while (!stack.empty()) {
    const Pending next = std::move(stack.back());
    stack.pop_back();
    const std::string branching = next.is_root ? "" : next.is_last ? "└─ " : "├─ ";
    const std::string below = next.is_root ? "" : next.is_last ? "   " : "│  ";
    rows.push_back({next.above + branching, next.node.node, next.node.is_bookmark});
    push(Text(*next.node.node, "name"), next.above + below);
  }
  return rows;
}

}  // namespace

std::string RenderBranchTree(const json& tree, const Style& style) {
  if (tree.at("branches").empty()) return "no branches\n";
  Table table({Align::kLeft, Align::kRight, Align::kRight, Align::kLeft});
  for (const TreeRow& row : Tree(tree).Rows()) {
    const std::string name = Text(*row.node, "name");
    table.AddRow({{row.lines + (row.is_bookmark ? name.substr(name.find('@')) : name)},
                  {Size(*row.node, "own_bytes")},
                  {Age(*row.node)},
                  row.is_bookmark ? Table::Cell{"bookmark", &Style::Dim} : State(*row.node)});
  }
  return table.Render(style);
}

}  // namespace velafs::cli
