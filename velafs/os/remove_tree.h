// Removing directories with all in them, whoever made what is in there, and while they change it.
#pragma once

#include <string>

#include "velafs/base/status.h"

namespace velafs::os {

// Removes all that is in an open directory, through no symbolic link, and however deep others have
// nested it: neither stack nor descriptors grow with the depth. Of our own directories also those
// that we may not look into. Goes on past what cannot be removed; the result is the first failure.
// `path` is for messages.
Status EmptyDirectory(int directory_fd, const std::string& path);

// Removes `name` in an open directory (or AT_FDCWD), whatever it is, likewise. Success when it is
// not there.
Status RemoveTree(int directory_fd, const std::string& name);

}  // namespace velafs::os
