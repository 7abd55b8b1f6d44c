#!/usr/bin/env bash
# workers.sh BINARY: what a second worker costs each request, in instructions and in time of processors.
# Instructions are what valgrind counts of the workers' threads in a long load, less those in a short one over as many
# connections: without start, handshakes, and what else the node does meanwhile. It runs one thread at a time: waiting for
# locks, and for memory that both cores write, does not show. That is what the second figure is for, from real cores under a
# light, steady load. Ends with 1 when a request takes more than 1.1 times the instructions with two workers.
set -euo pipefail
binary=${1:?usage: workers.sh BINARY} connections=32 short=1600 long=6400
export PATH="$PATH:/usr/sbin:/sbin"
for tool in valgrind h2load nginx openssl curl; do
    command -v "$tool" > /dev/null || { echo "workers: skipped, there is no $tool"; exit 0; }
done
room=$(mktemp -d) port=$((20000 + RANDOM % 10000))
trap 'kill $(cat "$room"/pid.*) 2> /dev/null || true; wait; rm -rf "$room"' EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$room/key.pem" -out "$room/chain.pem" 2> /dev/null
mkdir "$room/logs" && head -c 1024 /dev/urandom > "$room/1k"
# It answers probes as well: what came from an origin that is found failing is suspect, and no hit.
cat > "$room/nginx.conf" << CONF
pid $room/nginx.pid; daemon off; master_process off; error_log /dev/null; events {}
http { access_log off; server { listen 127.0.0.1:$port; root $room; add_header Cache-Control "public, max-age=86400";
    location = / { return 204; } } }
CONF
nginx -p "$room" -c "$room/nginx.conf" & echo $! > "$room/pid.origin"

# Starts the node with $1 workers, below the command that follows, and waits until it has the response.
start() {
    cat > "$room/holdover.toml" << CONF
node = { workers = $1 }
listen = { https = ["127.0.0.1:$((port + 1))"], http = [] }
admin = { listen = ["127.0.0.1:$((port + 2))"] }
log = { access = "off", events = "off" }
certificate = [{ chain = "$room/chain.pem", key = "$room/key.pem" }]
site = [{ hosts = ["localhost"], origin = [{ url = "http://127.0.0.1:$port", rank = 1 }] }]
CONF
    "${@:2}" "$binary" run --config "$room/holdover.toml" > "$room/log" 2>&1 & node=$!
    echo $node > "$room/pid.node"
    for _ in {1..300}; do
        curl -sk "https://localhost:$((port + 1))/1k" | cmp -s - "$room/1k" && return || sleep 0.2
    done
    cat "$room/log" >&2 && echo "workers: the node does not answer" >&2 && exit 2
}

stop() { rm "$room/pid.node" && kill "$node" && wait "$node" || true; }

# Asks $1 times, with the options that follow.
load() {
    h2load --h1 -t1 -c $connections -n "$@" "https://localhost:$((port + 1))/1k" > "$room/log.load"
    grep -q " $1 2xx," "$room/log.load" || { cat "$room/log.load" >&2; echo "workers: not all were answered" >&2; exit 2; }
}

# Nanoseconds that the threads of the node have run whose names begin with $1.
ran() {
    for task in /proc/"$node"/task/*; do if grep -q "^$1" "$task/comm"; then cat "$task/schedstat"; fi; done |
        awk '{ sum += $1 } END { printf "%.0f", sum }'
}

# Instructions per request with $1 workers.
count() {
    local requests worker counted=()
    for requests in $short $long; do
        rm -f "$room"/counted*
        start "$1" valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file="$room/counted"
        load "$requests"
        for ((worker = 0; worker < $1; worker++)); do
            echo "$requests requests, worker-$worker of $1 ran $(($(ran "worker-$worker") / 1000000)) ms" >&2
        done
        stop
        # A thread that serves connections is a worker's.
        grep -l 'serve_connection' "$room"/counted-* | xargs -r sed -n 's/^totals: //p' > "$room/workers"
        [ -s "$room/workers" ] || { echo "workers: no thread is known to serve connections; are there symbols in $binary?" >&2; exit 2; }
        counted+=("$(awk '{ sum += $1 } END { printf "%.0f", sum }' "$room/workers")")
    done
    echo $(((counted[1] - counted[0]) / (long - short)))
}

# Nanoseconds per request with $1 workers, at 1,600 requests a second, handshakes included.
time_of() { start "$1" && load 8000 --rps 50 && echo $(($(ran worker) / 8000)) && stop; }

one=$(count 1)
two=$(count 2)
echo "instructions per request: $one with 1 worker, $two with 2, ratio $(awk "BEGIN { printf \"%.3f\", $two / $one }")"
echo "valgrind runs one thread at a time, so contention does not show in these"
echo "time per request at 1,600 requests a second: $(time_of 1) ns with 1 worker, $(time_of 2) ns with 2"
[ $((two * 10)) -le $((one * 11)) ] || { echo "workers: more than 1.1 times the instructions"; exit 1; }
