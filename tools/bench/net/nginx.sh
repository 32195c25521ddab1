#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# nginx.sh NGINX WORKERS IPV4:PORT: nginx answering /hello, as the other servers do: it says where
# it listens (port 0: a free one), and ends on SIGTERM with all it started.
set -euo pipefail

nginx=${1:?usage: nginx.sh NGINX WORKERS IPV4:PORT} workers=${2:?} address=${3:?}
host=${address%:*} port=${address##*:}
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null; wait; rm -rf "$work"' EXIT
trap 'exit 0' TERM INT

configure() # PORT
{
    cat <<EOF
$([ "$(id -u)" -ne 0 ] || echo 'user root;')
worker_processes $workers;
daemon off;
pid $work/pid;
error_log stderr error;
worker_rlimit_nofile $(ulimit -Hn);
events { worker_connections 10000; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600;
    client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fcgi;
    uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
    server {
        listen $host:$1 backlog=4096;
        location = /hello { default_type text/plain; return 200 'Hello, World!'; }
    }
}
EOF
}

answers() # PORT
{
    (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null
}

for ((try = 0; try < 20; try++)); do
    at=$port
    [ "$port" -ne 0 ] || at=$((20000 + RANDOM % 10000))
    answers "$at" && continue # somebody else's
    configure "$at" >"$work/nginx.conf"
    "$nginx" -p "$work" -c "$work/nginx.conf" 2>"$work/words" &
    pid=$!
    while kill -0 "$pid" 2>/dev/null && ! answers "$at"; do
        sleep 0.02
    done
    if kill -0 "$pid" 2>/dev/null; then
        echo "listening on $host:$at"
        wait "$pid"
        exit
    fi
done
echo "nginx.sh: nginx does not start: $(tail -n 1 "$work/words")" >&2
exit 1
