#!/usr/bin/env bash
# Compares Holdover with nginx, with hitch and Varnish, and with TLS alone, on two cores: one for the server, one for the
# load. Holdover is built as its image carries it (docker/build.sh). Writes the tables of docs/performance.md and fails when
# a target is missed. Installs nothing. Options are handed on: --only hits,misses --quick --no-write (see main.rs).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# nginx and varnishd live in sbin, which not every PATH has.
export PATH="$PATH:/usr/sbin:/sbin"
# Tools and the Debian packages they come in.
declare -A packages=([nginx]=nginx-light [varnishd]=varnish [hitch]=hitch [wrk]=wrk [h2load]=nghttp2-client [taskset]=util-linux [make]=make)
missing=()
for tool in "${!packages[@]}"; do
    command -v "$tool" >/dev/null || missing+=("$tool (package ${packages[$tool]})")
done
if ((${#missing[@]})); then
    printf 'not found: %s\n' "${missing[@]}" >&2
    exit 2
fi
if (($(nproc) < 2)); then
    echo "two cores are needed: one for the server, one for the load" >&2
    exit 2
fi
if (($(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) < 10 << 20)); then
    echo "10 GiB of free memory are needed: for ten million stored responses" >&2
    exit 2
fi
# Long bodies cost something else under another congestion control than cubic, the kernel's default. A network of their own
# may have its own.
congestion=$(</proc/sys/net/ipv4/tcp_congestion_control)
apart=()
if [[ $congestion != cubic ]]; then
    apart=(unshare --net bash -c 'ip link set lo up && echo cubic >/proc/sys/net/ipv4/tcp_congestion_control && exec "$@"' bash)
    if ! "${apart[@]}" true 2>/dev/null; then
        apart=()
        echo "TCP is under $congestion, and a network of its own takes root, unshare and ip: long bodies will not compare" >&2
    fi
fi
# Ten thousand connections have two ends.
ulimit -n "$(ulimit -Hn)"

binary=$(docker/build.sh)
# What is missing for it comes from where there is a network.
bench=(cargo bench --locked --features jemalloc --bench compare)
"${bench[@]}" --no-run
status=0
"${apart[@]}" "${bench[@]}" -- --holdover "$binary" "$@" || status=1
# With options a part was asked for, and that was all of it.
if (($# == 0)); then
    benches/compare/workers.sh "$binary" || status=1
    cargo bench --locked --features jemalloc --bench stored || status=1
    cargo bench --locked --bench ratio || status=1
fi
exit "$status"
