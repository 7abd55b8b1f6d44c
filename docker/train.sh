#!/usr/bin/env bash
# Shows a node what its life will be: loads the demo of the binary in the argument with what it is for, once each, and plays
# its outage. Fails when a load has no answers, or errors for answers.
set -euo pipefail

binary=$1
port=$((20000 + RANDOM % 10000))
edge=https://localhost:$port
ports=(--port "$port" --admin-port "$((port + 1))" --origin-port "$((port + 2))")
room=$(mktemp --directory)
node=
cleanup() {
    [[ ! $node ]] || kill "$node" 2>/dev/null || true
    rm -rf "$room"
}
trap cleanup EXIT

# Every request has a URL of its own, and misses.
cat >"$room/misses.lua" <<'LUA'
local n = 0
request = function()
    n = n + 1
    return wrk.format("GET", "/style.css?" .. n)
end
LUA

# HTTP/1.1 by wrk and HTTP/2 by h2load, for so many seconds. One that does not end, as h2load may, has told nothing.
http1() {
    local seconds=$1 path=$2
    timeout 120 wrk --threads 1 --connections 20 --duration "${seconds}s" --timeout 20s "${@:3}" "$edge$path" >"$room/told" || true
    judge "HTTP/1.1 $path ${*:3}" "$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' "$room/told")" "$(grep -c 'Non-2xx' "$room/told")"
}
http2() {
    local seconds=$1 path=$2
    timeout 120 h2load --threads 1 --clients 5 --max-concurrent-streams 10 --duration "$seconds" "${@:3}" "$edge$path" >"$room/told" || true
    judge "HTTP/2 $path ${*:3}" "$(sed -n 's/^status codes: \([0-9]*\) 2xx.*/\1/p' "$room/told")" "$(grep -c '[1-9][0-9]* [45]xx' "$room/told")"
}
judge() {
    echo "  $1: ${2:-0} answers"
    if ((${2:-0} == 0 || $3 > 0)); then
        cat "$room/told"
        exit 1
    fi
}

"$binary" demo "${ports[@]}" >"$room/demo" &
node=$!
curl --silent --insecure --retry 50 --retry-delay 1 --retry-all-errors --output /dev/null --fail "$edge/"
tag=$(curl --silent --insecure --head "$edge/style.css" | tr -d '\r' | sed -n 's/^etag: //Ip')

browser=(--header "User-Agent: Mozilla/5.0" --header "Accept: */*" --header "Accept-Encoding: gzip, deflate, br" --header "Cookie: visit=1")
for path in / /style.css /waves.png; do
    http1 4 "$path"
    http2 4 "$path"
done
http1 2 / "${browser[@]}"
http2 2 / "${browser[@]}"
http1 4 /20-mib.bin
http2 4 /20-mib.bin --max-concurrent-streams 1
http1 6 / --script "$room/misses.lua"
http1 4 /never-cached
http1 2 /style.css --header "If-None-Match: $tag"
http1 2 /style.css --header "Range: bytes=10-99"
http1 2 /style.css --header "Connection: close"

# A profile is written by a process that ends by itself.
kill -TERM "$node"
wait "$node"
node=
# What it promises is for its own test to judge: a machine that is emulated may be too slow for it.
"$binary" demo --drill "${ports[@]}" | tail -n 1 || true
