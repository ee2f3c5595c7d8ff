#include "velafs/os/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace velafs::os {

Result<uint64_t> KeepOnlyCapabilities(std::span<const int> kept) {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // Only who may set capabilities can give up those it could be given; others have none to lose.
  for (int number = 0; prctl(PR_CAPBSET_READ, number) >= 0; ++number) {
    if (std::ranges::find(kept, number) == kept.end()) prctl(PR_CAPBSET_DROP, number);
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) {
    return SystemError(errno, "cannot read this process's capabilities");
  }
  std::array<__u32, 2> wanted{};
  for (const int number : kept) {
    wanted[static_cast<size_t>(CAP_TO_INDEX(number))] |= CAP_TO_MASK(number);
  }
  for (size_t i = 0; i < data.size(); ++i) {
    data[i].permitted &= wanted[i];
    data[i].effective = data[i].permitted;
    data[i].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data.data()) != 0) {
    return SystemError(errno, "cannot give up capabilities");
  }
  return uint64_t{data[1].permitted} << 32 | data[0].permitted;
}

}  // namespace velafs::os
