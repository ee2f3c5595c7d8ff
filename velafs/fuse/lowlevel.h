// libfuse's low-level API, at the version this module is written for.
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
