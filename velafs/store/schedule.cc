#include "velafs/store/schedule.h"

#include <array>
#include <ctime>

#include "velafs/store/rules.h"

namespace velafs::store {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

TimeNs Ns(seconds duration) { return nanoseconds(duration).count(); }

}  // namespace

std::string ScheduledName(TimeNs at) {
  const auto whole = static_cast<std::time_t>(at / Ns(seconds(1)));
  std::tm utc{};
  gmtime_r(&whole, &utc);
  std::array<char, 32> text;
  std::strftime(text.data(), text.size(), "auto-%Y%m%d-%H%M%S", &utc);
  return text.data();
}

Result<std::vector<seconds>> ParseKeep(const std::string& text) {
  std::vector<seconds> keep;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    VELAFS_ASSIGN(const seconds span, ParseDuration(text.substr(begin, end - begin)));
    if (!keep.empty() && span <= keep.back()) {
      return UsageError(Quoted(text) + " does not grow: each duration is longer than the last");
    }
    keep.push_back(span);
    begin = end + 1;
  }
  return keep;
}

std::vector<size_t> ThinOut(std::span<const TimeNs> made_at, std::span<const seconds> keep,
                            TimeNs now) {
  std::vector<size_t> gone;
  std::vector<TimeNs> last_span(keep.size(), -1);  // of the one before, as long as each of `keep`
  for (size_t i = 0; i + 1 < made_at.size(); ++i) {
    const TimeNs age = now - made_at[i];
    size_t place = 0;
    while (place < keep.size() && age > Ns(keep[place])) ++place;
    const auto span = [&](size_t of) { return made_at[i] / Ns(keep[of]); };
    const bool is_alone = place == 0 || span(place - 1) != last_span[place - 1];
    if (place == keep.size() || !is_alone) gone.push_back(i);
    for (size_t of = 0; of < keep.size(); ++of) last_span[of] = span(of);
  }
  return gone;
}

}  // namespace velafs::store
