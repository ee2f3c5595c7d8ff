#!/usr/bin/env bash
# `velafs scrub`: silent on a sound store, in use or killed; exact on a damaged one.
# VELAFS_SECONDS: how long pgbench runs while the store is scrubbed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
seconds=${VELAFS_SECONDS:-10}

clean() { # a scrub finds nothing
  velafs --json scrub >scrub.json || {
    cat scrub.json
    fail "scrub has status $?"
  }
  jq -e '.corrupt == [] and .chunks_checked > 0 and .page_files_checked > 0' scrub.json >/dev/null ||
    fail "$(cat scrub.json)"
}

damaged() { # damaged FILTER: a scrub has status 6, and a document of which the jq filter is true
  local status=0
  velafs --json scrub >scrub.json || status=$?
  equal "$status" 6 "exit status"
  jq -e "$1" scrub.json >/dev/null || fail "$(cat scrub.json)"
}

make_store 5
velafs -q clone main dev
velapg -q start dev

clean_under_load() {
  local load scrubs=0
  on dev pgbench --no-vacuum --client 4 --time "$seconds" >/dev/null &
  load=$!
  while kill -0 "$load" 2>/dev/null; do
    clean
    velafs -q bookmark create "dev@b-$scrubs"
    velafs -q clone "dev@b-$scrubs" passing
    velafs -q delete passing
    ((++scrubs))
  done
  wait "$load"
  echo "$scrubs scrubs"
  at_least "$scrubs" 2 "number of scrubs"
}
check "a scrub while a branch is written, frozen and cloned finds nothing" clean_under_load

has_history() { # has_history ROWS
  (($(sql dev 'select count(*) from pgbench_history') >= $1))
}

clean_after_kill() {
  local round
  for round in 1 2 3; do
    on dev pgbench --no-vacuum --client 4 --time 60 >/dev/null 2>&1 &
    wait_until 30 has_history "$((round * 200))"
    velafs -q clone dev "at-$round"
    kill -9 "$(daemon_pid)"
    wait $! || true
    clean
    velafs -q mount
    velapg -q start dev
    velapg -q start "at-$round"
    invariant_holds "at-$round"
    velapg -q stop "at-$round"
    clean
  done
}
check "nor on what a killed daemon has left, before recovery and after" clean_after_kill

velapg -q stop dev
velafs -q clone main fresh
table=$(find "$VELAFS_SANDBOX/cluster/base" -name '[0-9]*' -size +30M | head -n 1)
table=${table#"$VELAFS_SANDBOX/cluster/"}

flip_bit() { # flip_bit: one of what is stored of the table's 100th chunk, as its record says; again: back
  local sha256
  sha256=$(dd if="$VELAFS_SANDBOX/cluster/$table" bs=65536 skip=100 count=1 status=none | sha256sum | cut -d' ' -f1)
  # shellcheck disable=SC2016
  perl -e '
    my ($sha256, @packs) = @ARGV;
    for my $path (@packs) {
      open my $pack, "+<:raw", $path or die; my $all = do { local $/; <$pack> };
      my $at = index $all, pack "H*", $sha256; next if $at < 0;
      my $middle = $at + 48 + int(unpack("V", substr $all, $at - 4, 4) / 2);
      seek $pack, $middle, 0; print $pack chr(ord(substr $all, $middle, 1) ^ 4); exit 0;
    }
    die "the chunk is in no pack\n"' "$sha256" "$VELAFS_STORE"/packs/*.pack
}
is_damaged='(does not match its SHA-256|the compressed data there is damaged)'

bit_found() {
  velafs umount
  flip_bit
  damaged ".corrupt | length == 1 and .[0].kind == \"chunk\" and .[0].pack == 1 and .[0].file == \"$table\"
    and (.[0].files[0].branches | index(\"main\") and index(\"fresh\"))"
  velafs mount
  damaged ".corrupt[0].file == \"$table\"" # by the daemon too
  velafs scrub >text 2>/dev/null || true
  cat text
  has_line -E "^damaged: pack 1 at [0-9]*: .*$is_damaged" text
  has_line "^  in $table of \"" text
}
check "a flipped bit in a pack is found, with the file and the branches it is in" bit_found

error_for_postgres() {
  velafs umount
  velafs mount
  velapg start fresh
  if sql fresh 'select sum(abalance) from pgbench_accounts' >out 2>err; then fail "answered $(cat out)"; fi
  cat err
  has_line 'could not read block .*Input/output error' err
  has_line -E "\"$table\" of branch \"fresh\": pack .*1.pack.*$is_damaged" \
    "$VELAFS_STORE/run/velafs.log"
  velapg stop fresh
  velafs scrub --repair && fail "a lost chunk was repaired"
  velafs umount
  flip_bit
  clean
  velafs mount
  velapg start fresh
  invariant_holds fresh
  velapg stop fresh
}
check "PostgreSQL gets an error for it, and no wrong data" error_for_postgres

catalog_lost() {
  local before
  velapg start dev
  before=$(pgbench_checksum dev)
  velapg stop dev
  velafs umount
  rm -f "$VELAFS_STORE"/catalog.db*
  refuses 6 'catalog is missing' velafs list
  { velafs list 2>&1 || true; } | has_line "hint: .*velafs --store $VELAFS_STORE scrub"
  refuses 6 'catalog is missing' velafs mount
  damaged '.corrupt[0].kind == "catalog"'
  velafs scrub --repair
  clean
  velafs mount
  velapg start dev
  equal "$(pgbench_checksum dev)" "$before" "the branch's content"
  velapg stop dev
}
check "a lost catalog is refused by every command, restored by a repair, and PostgreSQL starts" catalog_lost

copies_kept() {
  local newest
  newest=$(find "$VELAFS_STORE/copies" -name 'catalog-*.db' | sort -V | tail -n 1)
  velafs clone main another
  velafs umount
  at_least "$(find "$VELAFS_STORE/copies" -name 'catalog-*.db' | wc -l)" 1 "number of copies"
  at_most "$(find "$VELAFS_STORE/copies" -name 'catalog-*.db' | wc -l)" 3 "number of copies"
  [[ $(find "$VELAFS_STORE/copies" -name 'catalog-*.db' | sort -V | tail -n 1) != "$newest" ]] ||
    fail "no copy was made of what has changed"
}
check "the newest few copies of the catalog are kept" copies_kept
