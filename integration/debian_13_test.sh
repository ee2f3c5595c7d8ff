#!/usr/bin/env bash
# The tree on Debian 13: it compiles without a warning, and what comes of it passes the quick unit tests
# and, with PostgreSQL 17, a test on a mount, and is a package that can be installed. The root that all
# of it happens in goes with the sandbox.
# needs: network
#
# The quick unit tests are all but those that try many states at random, or fail a disk at each of its
# changes: these depend on no library. With VELAFS_QUICK set none is compiled.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$root_dir/integration/roots.sh"
begin "$@"

reason=$(no_roots trixie)
if [[ $reason ]]; then
  skip "${0##*/}" "$reason"
  exit "$skip_status"
fi
root=$VELAFS_SANDBOX/debian-13
slow_tests='*/fuzz/*,*/model_test*,*/stress_test*,*/damage_test*,*/power_test*,*/out_of_space_test*,*/errors_test*'
targets=(velafs velapg)
[[ ${VELAFS_QUICK:-} ]] || targets+=(velafs_tests)

is_made() {
  make_root trixie "$root"
  mkdir "$root/src" "$root/ccache"
  tar -C "$root_dir" --exclude=./build --exclude=./.git -cf - . | tar -C "$root/src" -xf -
}

# Compilations are cached where the host caches its own; they do not mix.
share_ccache() {
  local cache
  cache=$(ccache --get-config cache_dir)/debian-13
  mkdir -p "$cache"
  mount --bind "$cache" "$root/ccache"
  at_end=forget_ccache
}
forget_ccache() {
  umount "$root/ccache"
}

packages_are_there() {
  # shellcheck disable=SC2016  # expanded in the root
  in_root "$root" bash -ec 'source /src/integration/lib.sh; packages+=(ccache build-essential debhelper systemd-dev); install_packages'
}

compiles() {
  # shellcheck disable=SC2016
  in_root "$root" env CCACHE_DIR=/ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache bash -ec '
    cd /src
    cmake --preset release -B /build
    ninja -C /build "$@"' compiles "${targets[@]}" >compiled.out 2>&1 ||
    fail "it does not compile: $(tail -n 60 compiled.out)"
  ! has_line -i 'warning:' compiled.out || fail "there are warnings: $(grep -iA5 'warning:' compiled.out)"
}

passes_unit_tests() {
  # Not in the top directory, which some tests take for the data of a server of this very program.
  in_root "$root" env --chdir=/build /build/tests/velafs_tests "--source-file-exclude=$slow_tests" >unit.out 2>&1 ||
    fail "$(tail -n 60 unit.out)"
}

passes_on_a_mount() {
  in_root "$root" env VELAFS_PREPARED=1 VELAFS_BUILD_DIR=/build VELAFS_SECONDS=5 \
    /src/integration/isolation_test.sh >mount.out 2>&1 || fail "$(tail -n 40 mount.out)"
  at_least "$(grep -c '^  PASS ' mount.out)" 3 "the number of cases that passed"
}

is_packaged() {
  # shellcheck disable=SC2016
  in_root "$root" bash -ec '
    /src/packaging/build.sh deb --compiled-in /build --output /packages
    apt-get install -y -q --no-install-recommends /packages/velafs_*.deb
    cd /
    [[ $(command -v velafs) == /usr/bin/velafs ]]
    velafs --version
    velapg --version' >package.out 2>&1 || fail "$(tail -n 40 package.out)"
}

check "a root is made" is_made
((failures == 0)) || exit 0
! command -v ccache >/dev/null || share_ccache
check "it has what velafs is built with" packages_are_there
check "velafs compiles there" compiles
((failures == 0)) || exit 0
[[ ${VELAFS_QUICK:-} ]] || check "the quick unit tests pass" passes_unit_tests
check "branches are isolated with PostgreSQL 17" passes_on_a_mount
check "a package is built and installed there" is_packaged
