#include "velafs/layer/tree_difference.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "velafs/layer/chain.h"
#include "velafs/layer/content_difference.h"
#include "velafs/layer/file_content.h"
#include "velafs/layer/server_files.h"

namespace velafs::layer {
namespace {

using Change = FileDifference::Change;
using Place = std::pair<InodeNumber, std::string>;  // a directory, and a name in it

constexpr int kMaxAttempts = 20;
constexpr int kFilesPerRead = 100;

struct PlaceLess {
  using is_transparent = void;
  using View = std::pair<InodeNumber, std::string_view>;
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return View(a.first, a.second) < View(b.first, b.second);
  }
};
using Names = std::map<Place, InodeNumber, PlaceLess>;  // inode 0: a whiteout
using Paths = std::map<std::string, InodeNumber>;

using File = catalog::InodeInChain;  // as one of the trees has it

// One of the two trees, as far as it may differ from the other one.
class Side {
 public:
  Side(BranchHost& host, const FindTreeState& find) : host_(host), find_(find) {}

  Status Find(catalog::Reader& reader) {
    VELAFS_ASSIGN(state_, find_(reader));
    VELAFS_ASSIGN(rows_, reader.Chain(state_.top));
    return {};
  }
  Result<bool> IsCurrent(catalog::Reader& reader) const {
    VELAFS_ASSIGN(const TreeState now, find_(reader));
    return now.top == state_.top && now.root == state_.root;
  }
  Status LoadChain(uint64_t generation) {
    VELAFS_ASSIGN(chain_, Chain::Make(host_, rows_, generation));
    return {};
  }
  void CountOwnLayers(const Side& other) {
    while (own < layers().size() && !other.chain().order().Has(layers()[own])) ++own;
  }
  const Chain& chain() const { return *chain_; }
  const std::vector<LayerId>& layers() const { return chain_->order().layers(); }  // nearest first

  // Reads what an own layer says; nearest first.
  Status ReadOwnLayer(catalog::Reader& reader, size_t index) {
    const LayerId layer = layers()[index];
    VELAFS_ASSIGN(const auto inodes, reader.InodesIn(layer));
    touched.insert(inodes.begin(), inodes.end());
    for (InodeNumber ino : chain_->links()[index].layer->InodesWithContent()) touched.insert(ino);
    VELAFS_ASSIGN(const auto with_names, reader.DirectoriesIn(layer));
    for (InodeNumber directory : with_names) {
      directories.insert(directory);
      VELAFS_TRY(reader.ForEachName(layer, directory, [&](std::string_view name, InodeNumber ino) {
        names.try_emplace(Place(directory, name), ino);
      }));
    }
    return {};
  }

  // The path of every name, directories left out. `directories`: the inodes that may be some.
  Paths FindPaths(const std::unordered_set<InodeNumber>& directories) {
    places_.clear();
    for (const auto& [place, ino] : names) {
      if (ino && directories.contains(ino)) places_[ino] = &place;
    }
    Paths paths;
    for (const auto& [place, ino] : names) {
      if (!ino || directories.contains(ino)) continue;
      if (place.first == state_.root && IsServerFile(place.second)) continue;
      if (auto directory = PathOf(place.first)) paths[*directory + place.second] = ino;
    }
    return paths;
  }
  // With a slash at its end, empty for the root; nothing for a directory the tree does not have.
  std::optional<std::string> PathOf(InodeNumber directory) const {
    std::string path;
    for (size_t steps = 0; directory != state_.root; ++steps) {
      const auto place = places_.find(directory);
      if (place == places_.end() || steps > places_.size()) return {};
      path.insert(0, place->second->second + "/");
      directory = place->second->first;
    }
    return path;
  }

  // Loads the files of the paths, and forgets the paths of what is gone or a directory.
  Status LoadFiles(Paths* paths) {
    for (auto entry = paths->begin(); entry != paths->end();) {
      VELAFS_TRY(host_.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
        for (int i = 0; i < kFilesPerRead && entry != paths->end(); ++i) {
          VELAFS_ASSIGN(const bool is_file, LoadFile(reader, entry->second));
          entry = is_file ? std::next(entry) : paths->erase(entry);
        }
        return {};
      }));
    }
    return {};
  }
  const File* FileOf(InodeNumber ino) const { return &files_.at(ino); }

  // Null for what has no content.
  Result<std::unique_ptr<FileContent>> Open(const File* file) const {
    if (file == nullptr || !S_ISREG(file->row.mode)) return std::unique_ptr<FileContent>();
    VELAFS_ASSIGN(auto content, LoadUnmoved(host_, [&] { return Load(*file); }));
    return std::make_unique<FileContent>(std::move(content));
  }

  size_t own = 0;  // of its layers, those that the other tree does not stand on
  Names names;
  std::unordered_set<InodeNumber> touched;      // what its own layers say something of
  std::unordered_set<InodeNumber> directories;  // that its own layers hold names of

 private:
  Result<bool> LoadFile(catalog::Reader& reader, InodeNumber ino) {
    if (files_.contains(ino)) return true;
    VELAFS_ASSIGN(auto file, catalog::ChainView(reader, chain_->order()).Inode(ino));
    if (!file || file->row.nlink == 0 || S_ISDIR(file->row.mode)) return false;
    files_.emplace(ino, *std::move(file));
    return true;
  }

  // By the rows that it has now, or, if it has gone meanwhile, had.
  Result<FileContent> Load(const File& file) const {
    std::optional<File> now;
    VELAFS_TRY(host_.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(now, catalog::ChainView(reader, chain_->order()).Inode(file.row.ino));
      return {};
    }));
    return FileContent::Load(*chain_, now && now->row.nlink > 0 ? *now : file);
  }

  BranchHost& host_;
  const FindTreeState& find_;
  TreeState state_;
  std::vector<catalog::LayerRow> rows_;
  ChainPtr chain_;
  std::unordered_map<InodeNumber, File> files_;
  std::unordered_map<InodeNumber, const Place*> places_;  // of directories
};

// A path that may differ, and what each tree has there.
struct Candidate {
  std::string path;
  std::string from;  // when it has another name in the first tree
  const File* a;     // null: none
  const File* b;
};

class TreeComparison {
 public:
  TreeComparison(BranchHost& host, const FindTreeState& a, const FindTreeState& b)
      : host_(host), catalog_(host.parts().catalog), a_(host, a), b_(host, b) {}

  // False if a state was replaced meanwhile, or one of its layers merged. The heads are read in one
  // transaction; all other layers are read in many: the catalog has others to serve.
  Result<bool> FindCandidates() {
    const uint64_t generation = host_.generation();
    VELAFS_TRY(catalog_.Read([this](catalog::Reader& reader) -> Status {
      VELAFS_TRY(a_.Find(reader));
      return b_.Find(reader);
    }));
    VELAFS_TRY(a_.LoadChain(generation));
    VELAFS_TRY(b_.LoadChain(generation));
    a_.CountOwnLayers(b_);
    b_.CountOwnLayers(a_);
    bool is_current = false;
    VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(const bool a_is, a_.IsCurrent(reader));
      VELAFS_ASSIGN(const bool b_is, b_.IsCurrent(reader));
      is_current = a_is && b_is;
      if (!is_current) return {};
      if (a_.own > 0) VELAFS_TRY(a_.ReadOwnLayer(reader, 0));
      if (b_.own > 0) VELAFS_TRY(b_.ReadOwnLayer(reader, 0));
      return {};
    }));
    if (!is_current) return false;
    VELAFS_TRY(ReadFrozenLayers());
    VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
      is_current = a_.chain().IsCurrent(reader) && b_.chain().IsCurrent(reader);
      return {};
    }));
    return is_current;
  }

  Result<std::vector<FileDifference>> Compare(const std::function<bool()>& go_on) const {
    std::vector<FileDifference> differences;
    for (const Candidate& candidate : candidates_) {
      VELAFS_ASSIGN(auto difference, CompareOne(candidate, go_on));
      if (difference) differences.push_back(*std::move(difference));
    }
    return differences;
  }

 private:
  Status ReadFrozenLayers() {
    for (Side* side : {&a_, &b_}) {
      for (size_t i = 1; i < side->own; ++i) {
        VELAFS_TRY(
            catalog_.Read([&](catalog::Reader& reader) { return side->ReadOwnLayer(reader, i); }));
      }
      touched_.insert(side->touched.begin(), side->touched.end());
      directories_.insert(side->directories.begin(), side->directories.end());
    }
    if (touched_.empty()) return {};
    VELAFS_TRY(FindCommonDirectories());
    VELAFS_TRY(ReadCommonNames());
    Paths in_a = a_.FindPaths(directories_);
    Paths in_b = b_.FindPaths(directories_);
    if (FindMoved()) {
      // What lies in a moved directory has moved, too, without a row that says so.
      VELAFS_TRY(ReadCommonNames());
      in_a = a_.FindPaths(directories_);
      in_b = b_.FindPaths(directories_);
    }
    return Pair(std::move(in_a), std::move(in_b));
  }

  Status FindCommonDirectories() {
    return catalog_.Read([this](catalog::Reader& reader) -> Status {
      for (size_t i = a_.own; i < a_.layers().size(); ++i) {
        VELAFS_ASSIGN(auto found, reader.DirectoriesIn(a_.layers()[i]));
        directories_.insert(found.begin(), found.end());
        common_directories_.emplace_back(a_.layers()[i], std::move(found));
      }
      return {};
    });
  }

  // Adds the names of the layers both trees stand on, as far as they may lead to a difference.
  Status ReadCommonNames() {
    Names common;
    for (size_t i = common_directories_.size(); i-- > 0;) {
      const auto& [layer, directories] = common_directories_[i];
      for (InodeNumber directory : directories) {
        const auto add = [&, directory = directory](std::string_view name, InodeNumber ino) {
          const PlaceLess::View place(directory, name);
          const bool matters = touched_.contains(ino) || directories_.contains(ino) ||
                               moved_.contains(directory) || common.contains(place) ||
                               a_.names.contains(place) || b_.names.contains(place);
          if (matters) common[Place(directory, name)] = ino;
        };
        VELAFS_TRY(catalog_.Read([&, layer = layer](catalog::Reader& reader) {
          return reader.ForEachName(layer, directory, add);
        }));
      }
    }
    for (Side* side : {&a_, &b_}) side->names.insert(common.begin(), common.end());
    return {};
  }

  bool FindMoved() {
    for (const auto& [layer, directories] : common_directories_) {
      for (InodeNumber directory : directories) {
        if (a_.PathOf(directory) != b_.PathOf(directory)) moved_.insert(directory);
      }
    }
    return !moved_.empty();
  }

  Status Pair(Paths in_a, Paths in_b) {
    std::erase_if(in_a, [&](const auto& entry) {
      const auto in_other = in_b.find(entry.first);
      const bool is_same = in_other != in_b.end() && in_other->second == entry.second &&
                           !touched_.contains(entry.second);
      if (is_same) in_b.erase(in_other);
      return is_same;
    });
    VELAFS_TRY(a_.LoadFiles(&in_a));
    VELAFS_TRY(b_.LoadFiles(&in_b));

    std::multimap<InodeNumber, const std::string*> left;  // names only the first tree has
    for (const auto& [path, ino] : in_a) {
      if (!in_b.contains(path)) left.emplace(ino, &path);
    }
    for (const auto& [path, ino] : in_b) {
      Candidate candidate{.path = path, .from = {}, .a = nullptr, .b = b_.FileOf(ino)};
      const auto before = in_a.find(path);
      // Of several names the first: lower_bound, for find may return any.
      const auto renamed = left.lower_bound(ino);
      if (before != in_a.end()) {
        candidate.a = a_.FileOf(before->second);
      } else if (renamed != left.end() && renamed->first == ino) {
        candidate.a = a_.FileOf(ino);
        candidate.from = *renamed->second;
        left.erase(renamed);
      }
      candidates_.push_back(std::move(candidate));
    }
    for (const auto& [ino, path] : left) {
      candidates_.push_back({.path = *path, .from = {}, .a = a_.FileOf(ino), .b = nullptr});
    }
    return {};
  }

  // Nothing when they are the same.
  Result<std::optional<FileDifference>> CompareOne(const Candidate& candidate,
                                                   const std::function<bool()>& go_on) const {
    VELAFS_ASSIGN(const auto in_a, a_.Open(candidate.a));
    VELAFS_ASSIGN(const auto in_b, b_.Open(candidate.b));
    VELAFS_ASSIGN(const ContentDifference content, CompareContents(in_a.get(), in_b.get(), go_on));
    FileDifference difference;
    difference.path = candidate.path;
    difference.from = candidate.from;
    difference.pages_changed = content.pages;
    difference.bytes_changed = content.bytes;
    const FileContent* shown = candidate.b != nullptr ? in_b.get() : in_a.get();
    if (shown != nullptr) difference.size_bytes = shown->size_bytes();
    if (candidate.a == nullptr) {
      difference.change = Change::kAdded;
    } else if (candidate.b == nullptr) {
      difference.change = Change::kRemoved;
    } else if (!candidate.from.empty()) {
      difference.change = Change::kRenamed;
    } else {
      const catalog::InodeRow& a = candidate.a->row;
      const catalog::InodeRow& b = candidate.b->row;
      const bool same_kind = (a.mode & S_IFMT) == (b.mode & S_IFMT);
      if (content.pages == 0 && same_kind && a.target == b.target && a.rdev == b.rdev) {
        if (a.mode == b.mode && a.uid == b.uid && a.gid == b.gid)
          return std::optional<FileDifference>();
        difference.change = Change::kAttributes;
      }
    }
    return std::optional(std::move(difference));
  }

  const BranchHost& host_;
  catalog::Catalog& catalog_;
  Side a_;
  Side b_;
  std::unordered_set<InodeNumber> touched_;      // what own layers say something of
  std::unordered_set<InodeNumber> directories_;  // with names in them
  // Nearest layer first: those that both trees stand on, and the directories they hold names of.
  std::vector<std::pair<LayerId, std::vector<InodeNumber>>> common_directories_;
  std::unordered_set<InodeNumber> moved_;  // directories
  std::vector<Candidate> candidates_;
};

}  // namespace

Result<std::vector<FileDifference>> CompareTrees(BranchHost& host, const FindTreeState& a,
                                                 const FindTreeState& b,
                                                 const std::function<bool()>& go_on) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    TreeComparison comparison(host, a, b);
    VELAFS_ASSIGN(const bool is_found, comparison.FindCandidates());
    if (!is_found) continue;
    auto differences = comparison.Compare(go_on);
    VELAFS_TRY(differences.status());
    std::sort(differences->begin(), differences->end(),
              [](const auto& one, const auto& other) { return one.path < other.path; });
    return differences;
  }
  return Errno(ESTALE);
}

}  // namespace velafs::layer
