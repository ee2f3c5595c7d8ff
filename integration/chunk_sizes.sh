#!/usr/bin/env bash
# How the size of a chunk trades what is stored against speed: a cluster with pgbench's tables is stored, then once more
# after its server has been busy, with chunks of 8 to 128 KiB. Two kinds of work: one that changes rows everywhere, and
# one that changes few places and adds rows. Prints a Markdown table.
#
#   sudo ./integration/chunk_sizes.sh
#
#   VELAFS_SECONDS (30, of each kind of work)   VELAFS_SCALE (50; 15 MB each)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
seconds=${VELAFS_SECONDS:-30}
scale=${VELAFS_SCALE:-50}

cluster=$VELAFS_SANDBOX/cluster
make_cluster "$cluster" "$scale"
cp -a "$cluster" "$VELAFS_SANDBOX/first"

# A few of the accounts are changed most of the time.
cat >local.sql <<END
\\set aid random_zipfian(1, 100000 * $scale, 1.5)
\\set delta random(-5000, 5000)
begin;
update pgbench_accounts set abalance = abalance + :delta where aid = :aid;
insert into pgbench_history (tid, bid, aid, delta, mtime) values (1, 1, :aid, :delta, current_timestamp);
end;
END
chmod 644 local.sql

busy() { # busy STATE PGBENCH-OPTION...
  local state=$1
  shift
  host_start "$cluster" -c autovacuum=on -c checkpoint_timeout=30s
  PGHOST=$cluster.run as_postgres pgbench --no-vacuum --time "$seconds" --client 8 --jobs 2 "$@" 2>/dev/null |
    sed -n "s/^number of transactions actually processed: \([0-9]*\).*/* $state: \1 transactions in $seconds s/p"
  host_stop "$cluster"
  cp -a "$cluster" "$VELAFS_SANDBOX/$state"
  rm -rf "$cluster"
  cp -a "$VELAFS_SANDBOX/first" "$cluster"
}
busy everywhere --builtin tpcb-like
busy local --file "$VELAFS_SANDBOX/local.sql"

programs=$build_dir/integration/programs
"$programs/chunk_sizes" first everywhere >everywhere.rows
"$programs/chunk_sizes" first local >local.rows
echo
echo "| chunk | chunks | stored | added, changed everywhere | added, changed locally | stored at, a core | a page's first read |"
echo "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
paste -d' ' everywhere.rows local.rows | awk '{
  printf "| %d KiB | %d | %.1f MB | %.1f MB | %.1f MB | %d MB/s | %.1f us |\n", $1 / 1024, $2, $3 / 1e6, $4 / 1e6, $10 / 1e6, $5, $6 }'
