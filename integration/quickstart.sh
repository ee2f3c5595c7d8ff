#!/usr/bin/env bash
# Shows once what velafs does, with a real cluster made for the purpose: import, mount, two clones,
# PostgreSQL on all three, writes in one of them. Everything it made is gone at the end.
#
#   sudo ./integration/quickstart.sh        VELAFS_SCALE sets pgbench's scale (20; 15 MB each)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
scale=${VELAFS_SCALE:-20}

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' plain=$'\e[0m'
else
  bold='' plain=''
fi

heading() {
  printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# step TEXT COMMAND...: runs it, and says what it took.
step() {
  local text=$1 start
  shift
  printf '  %-58s ' "$text"
  start=$(now_ms)
  "$@" >/dev/null
  printf '%10s\n' "$(in_words $(($(now_ms) - start)))"
}

# shown COMMAND...: the same, for a command as the reader would type it.
shown() {
  step "$*" "$@"
}

if [[ -z ${VELAFS_SANDBOX:-} ]]; then
  need_root
  heading "Preparation"
  echo "  $(install_packages)"
  step "build ${build_dir#"$root_dir"/}" build release "$build_dir"
  export VELAFS_PREPARED=1
fi
begin "$@"

cluster=$VELAFS_SANDBOX/cluster
branches=(main pr-1 pr-2)
declare -A before after

step "initdb, and pgbench -i -s $scale" make_cluster "$cluster" "$scale"
echo "  the cluster is a plain PGDATA of $(du --summarize --human-readable "$cluster" | cut -f1)"

heading "A store, and a clone of it for each pull request"
shown velafs init
step "velafs import main --from-dir PGDATA" velafs import main --from-dir "$cluster"
shown velafs mount
shown velafs clone main pr-1
shown velafs clone main pr-2

heading "PostgreSQL on all of them"
for branch in "${branches[@]}"; do shown velapg start "$branch"; done
for branch in "${branches[@]}"; do before[$branch]=$(pgbench_checksum "$branch"); done

heading "Writes in pr-1"
step "pgbench -c 8 -T 5" on pr-1 pgbench --no-vacuum --client 8 --jobs 2 --time 5
step "delete from pgbench_accounts where aid <= 10000" \
  sql pr-1 "delete from pgbench_accounts where aid <= 10000"
step "create table new_feature" \
  sql pr-1 "create table new_feature as select aid, abalance from pgbench_accounts limit 10000"
for branch in "${branches[@]}"; do after[$branch]=$(pgbench_checksum "$branch"); done
for branch in "${branches[@]}"; do sql "$branch" checkpoint; done

heading "velafs tree"
velafs tree | sed 's/^/  /'

heading "What each branch holds and occupies"
line='  %-6s  %12s  %12s  %-12s  %-10s  %10s  %10s\n'
# shellcheck disable=SC2059  # the format is the line above
{
  printf "$line" branch accounts history checksum contents 'own bytes' 'size'
  for branch in "${branches[@]}"; do
    verdict=unchanged
    [[ ${before[$branch]} == "${after[$branch]}" ]] || verdict=changed
    printf "$line" "$branch" "$(sql "$branch" 'select count(*) from pgbench_accounts')" \
      "$(sql "$branch" 'select count(*) from pgbench_history')" "${after[$branch]:0:12}" "$verdict" \
      "$(field "$branch" own_bytes | numfmt --to=iec)" "$(field "$branch" logical_bytes | numfmt --to=iec)"
  done
}
[[ ${before[main]} == "${after[main]}" && ${before[pr-2]} == "${after[pr-2]}" &&
  ${before[pr-1]} != "${after[pr-1]}" ]] || die "a branch holds what it should not"

heading "The end"
for branch in "${branches[@]}"; do shown velapg stop "$branch"; done
shown velafs delete pr-1 pr-2
shown velafs umount
echo
