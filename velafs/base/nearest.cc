#include "velafs/base/nearest.h"

#include <algorithm>
#include <numeric>

namespace velafs {
namespace {

// Longer words are not compared: the time that takes grows with the product of the lengths.
constexpr size_t kMaxLength = 128;

std::string Lowercased(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

}  // namespace

size_t EditDistance(std::string_view a, std::string_view b) {
  // Row i holds the distances from the first i characters of `a` to each beginning of `b`.
  std::vector<size_t> before_last(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      const bool is_exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (is_exchanged) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::optional<std::string> NearestName(std::string_view typed,
                                       const std::vector<std::string>& candidates) {
  if (typed.empty() || typed.size() > kMaxLength) return std::nullopt;
  const std::string wanted = Lowercased(typed);
  std::optional<std::string> nearest;
  size_t least = std::max<size_t>(1, typed.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (candidate == typed) return std::nullopt;
    if (candidate.size() > kMaxLength) continue;
    const size_t distance = EditDistance(wanted, Lowercased(candidate));
    if (distance >= least) continue;
    least = distance;
    nearest = candidate;
  }
  return nearest;
}

std::string DidYouMean(std::string_view typed, const std::vector<std::string>& candidates,
                       const std::string& otherwise) {
  const std::optional<std::string> nearest = NearestName(typed, candidates);
  return nearest ? "did you mean \"" + *nearest + "\"?" : otherwise;
}

}  // namespace velafs
