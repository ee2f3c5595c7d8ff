#!/usr/bin/env bash
# Prints CHANGELOG.md as the changelog of a package.
#
#   packaging/changelog.sh debian|rpm|version|epoch
#
# `version` is the newest release in it, and `epoch` the time of that release in seconds.
set -euo pipefail

changelog=$(dirname "${BASH_SOURCE[0]}")/../CHANGELOG.md
maintainer="${DEBFULLNAME:-velafs maintainers} <${DEBEMAIL:-maintainers@velafs.invalid}>"

# Lines "## VERSION DATE" and "* TEXT", each entry on one line.
entries() {
  awk '
    function flush() { if (entry != "") print "* " entry; entry = "" }
    /^## \[/ { flush(); gsub(/[][]/, ""); print "## " $2 " " $4; known = 1; next }
    /^#/ || !known { flush(); next }
    /^- / { flush(); entry = substr($0, 3); next }
    /^  / { entry = entry " " substr($0, 3) }
    END { flush() }' "$changelog"
}

# wrapped FIRST REST TEXT: lines of at most 78 columns that begin so.
wrapped() {
  fold --spaces --width $((78 - ${#2})) <<<"$3" | sed -e 's/ *$//' -e "1s/^/$1/" -e "2,\$s/^/$2/"
}

debian() {
  local mark first rest date=''
  end_release() { [[ ! $date ]] || printf '\n -- %s  %s\n' "$maintainer" "$(date --utc --rfc-email --date "$date")"; }
  while read -r mark first rest; do
    if [[ $mark == '##' ]]; then
      end_release
      [[ ! $date ]] || echo
      date=$rest
      printf 'velafs (%s) unstable; urgency=medium\n\n' "$first"
    else
      wrapped '  * ' '    ' "$first $rest"
    fi
  done < <(entries)
  end_release
}

rpm() {
  local mark first rest separator=''
  while read -r mark first rest; do
    if [[ $mark == '##' ]]; then
      printf '%s* %s %s - %s-1\n' "$separator" "$(LC_ALL=C date --utc --date "$rest" '+%a %b %d %Y')" "$maintainer" "$first"
      separator=$'\n'
    else
      wrapped '- ' '  ' "${first//%/%%} ${rest//%/%%}"
    fi
  done < <(entries)
}

newest() {
  entries | sed -n 's/^## //p' | sed -n 1p
}

case ${1:-} in
  debian | rpm) "$1" ;;
  version) newest | cut -d ' ' -f 1 ;;
  epoch) date --utc --date "$(newest | cut -d ' ' -f 2)" +%s ;;
  *) sed -n '2,/^set/ s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac
