#!/usr/bin/env bash
# soak.sh for about a minute. VELAFS_SOAK_SECONDS and VELAFS_CYCLES say how much.
export VELAFS_SOAK_SECONDS=${VELAFS_SOAK_SECONDS:-25} VELAFS_CYCLES=${VELAFS_CYCLES:-8}
exec "$(dirname "${BASH_SOURCE[0]}")/soak.sh" "$@"
