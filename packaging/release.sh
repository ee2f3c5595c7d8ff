#!/usr/bin/env bash
# Makes a release: the tarball, Debian's packages, an rpm and SHA256SUMS. All is made twice, in different
# directories, and has to be the same.
#
#   packaging/release.sh [--output DIRECTORY]
#
# The files are put into DIRECTORY, by default build/release-VERSION. A compiler cache gives the second
# build what the first one compiled; with CCACHE_DISABLE=1 both compile everything.
set -Eeuo pipefail

packaging=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$("$packaging/changelog.sh" version)
output=${packaging%/*}/build/release-$version

case ${1:-} in
  '') ;;
  --output) output=${2:?--output needs a directory} ;;
  *) exec sed -n '2,/^set/ { /^set/d; s/^# \{0,1\}//p }' "$0" ;;
esac

work=$(mktemp -d "${TMPDIR:-/var/tmp}/velafs-release.XXXXXX")
trap 'rm -rf "$work"' EXIT

for turn in first another/second; do
  mkdir -p "$work/$turn/tmp"
  TMPDIR=$work/$turn/tmp "$packaging/build.sh" tar deb rpm --output "$work/$turn/packages"
  # The machine that made the packages.
  rm -f "$work/$turn/packages"/*.buildinfo "$work/$turn/packages"/*.changes
done
if ! diff --recursive "$work/first/packages" "$work/another/second/packages"; then
  echo "release.sh: the second build is not the first one again" >&2
  exit 1
fi
mkdir -p "$output"
mv "$work"/first/packages/* "$output/"
(cd "$output" && sha256sum velafs* >SHA256SUMS)
echo "the release is in $output"
