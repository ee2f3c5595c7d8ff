#!/usr/bin/env bash
# Makes packages from a clean copy of the tree.
#
#   packaging/build.sh deb|rpm|tar... [--output DIRECTORY] [--compiled-in DIRECTORY]
#
#   deb   velafs_VERSION_ARCHITECTURE.deb and its kin, with dpkg-buildpackage
#   rpm   velafs-VERSION-1.ARCHITECTURE.rpm, with rpmbuild; for use, build it on the distribution
#         that it is for
#   tar   velafs-VERSION.tar.gz, from which `rpmbuild -ta` and, unpacked, `dpkg-buildpackage` build
#
# The packages are put into the directory --output, by default build/packages. What they hold depends
# on the tree alone: times are the release's. With `deb rpm`, the rpm has the programs that were
# compiled for the deb. To try the packaging, --compiled-in takes programs from a build directory.
# DEBFULLNAME and DEBEMAIL say who makes the packages. ccache is used if there is one.
set -Eeuo pipefail

packaging=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${packaging%/*}
output=$root/build/packages
compiled=
kinds=()

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

while (($#)); do
  case $1 in
    deb | rpm | tar) kinds+=("$1") ;;
    --output) output=${2:?--output needs a directory} && shift ;;
    --compiled-in) compiled=$(realpath "${2:?--compiled-in needs a directory}") && shift ;;
    --help) exec sed -n '2,/^set/ { /^set/d; s/^# \{0,1\}//p }' "$0" ;;
    *) die "unknown word \"$1\" (see --help)" ;;
  esac
  shift
done
((${#kinds[@]})) || die "say deb, rpm or tar (see --help)"

version=$(sed -n 's/^project(velafs VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")
[[ $version == "$("$packaging/changelog.sh" version)" ]] ||
  die "CMakeLists.txt has version $version, and CHANGELOG.md $("$packaging/changelog.sh" version)"
SOURCE_DATE_EPOCH=$("$packaging/changelog.sh" epoch)
export SOURCE_DATE_EPOCH

work=$(mktemp -d "${TMPDIR:-/var/tmp}/velafs-build.XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/velafs-$version
mkdir -p "$output"

if command -v ccache >/dev/null; then
  # debhelper gives the build another home.
  CCACHE_DIR=$(ccache --get-config cache_dir)
  export CCACHE_DIR CCACHE_BASEDIR=$work CCACHE_NOHASHDIR=1 CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

# The files of the tree, and what the packagers' programs look for at its top.
copy_tree() {
  local list=$work/files
  if git -c safe.directory="$root" -C "$root" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git -c safe.directory="$root" -C "$root" ls-files -z --cached --others --exclude-standard |
      (cd "$root" && xargs -0 -r sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh) >"$list"
  else
    (cd "$root" && find . -path ./build -prune -o ! -type d -print0) >"$list"
  fi
  mkdir "$tree"
  tar -C "$root" --null --files-from "$list" --create --file - | tar -C "$tree" --extract --file -
  cp -r "$tree/packaging/debian" "$tree/debian"
  "$packaging/changelog.sh" debian >"$tree/debian/changelog"
  sed "s/@VERSION@/$version/" "$packaging/rpm/velafs.spec" >"$tree/velafs.spec"
  { echo && echo %changelog && "$packaging/changelog.sh" rpm; } >>"$tree/velafs.spec"
  chmod -R u=rwX,go=rX "$tree"
}

build_tar() { # build_tar DIRECTORY
  tar -C "$work" --create --sort=name --owner=0 --group=0 --numeric-owner --format=gnu \
    --mtime="@$SOURCE_DATE_EPOCH" --file - "${tree##*/}" | gzip --no-name >"$1/velafs-$version.tar.gz"
}

build_deb() {
  local built=$work/deb
  mkdir "$built"
  cp -r "$tree" "$built/"
  (cd "$built/${tree##*/}" && VELAFS_COMPILED_IN=$compiled dpkg-buildpackage --build=binary --no-sign) ||
    die "dpkg-buildpackage failed"
  find "$built" -maxdepth 1 -type f -exec mv -t "$output" {} +
  [[ $compiled ]] || compiled=$(echo "$built/${tree##*/}"/obj-*)
}

build_rpm() {
  local options=(--define "_topdir $work/rpm")
  mkdir -p "$work/rpm/SOURCES"
  build_tar "$work/rpm/SOURCES"
  [[ ! $compiled ]] || options+=(--define "velafs_compiled_in $compiled")
  [[ $(rpm --eval '%{?_unitdir}') ]] || options+=(--nodeps --load "$packaging/rpm/macros.debian")
  rpmbuild -bb "${options[@]}" "$tree/velafs.spec" || die "rpmbuild failed"
  find "$work/rpm/RPMS" -name '*.rpm' -exec mv -t "$output" {} +
}

copy_tree
for kind in tar deb rpm; do
  [[ " ${kinds[*]} " != *" $kind "* ]] || "build_$kind" "$output"
done
echo "packages are in $output"
