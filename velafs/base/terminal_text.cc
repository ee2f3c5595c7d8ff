#include "velafs/base/terminal_text.h"

#include <algorithm>

#include "velafs/base/text.h"

namespace velafs {

std::string PrintableLine(std::string_view line) {
  std::string shown;
  for (;;) {
    const size_t tab = std::min(line.find('\t'), line.size());
    shown += Printable(line.substr(0, tab));
    if (tab == line.size()) return shown;
    shown += '\t';
    line.remove_prefix(tab + 1);
  }
}

}  // namespace velafs
