#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# libpq's non-blocking calls against PostgreSQL, on a Unix socket, on one P and on several.
# shellcheck source=tests/clients/servers.bash
. "$(dirname "${BASH_SOURCE[0]}")/servers.bash"

need postgres_client libpq-dev
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
[ -x "$bin/initdb" ] || skip "no PostgreSQL server: install the package postgresql"

# The server refuses to be root.
as=()
chmod 711 "$work"
mkdir "$work/pg"
if [ "$(id -u)" -eq 0 ]; then
    as=(setpriv --reuid postgres --regid postgres --clear-groups)
    chown postgres "$work/pg"
fi

(cd "$work/pg" && "${as[@]}" "$bin/initdb" -D "$work/pg/data" -U weft -A trust -E UTF8 --locale=C \
    --no-sync --no-instructions) >"$work/initdb.log" 2>&1 ||
    { cat "$work/initdb.log" >&2; fail "initdb failed"; }
(cd "$work/pg" && exec "${as[@]}" "$bin/postgres" -D "$work/pg/data" -k "$work/pg" -h '' \
    -c fsync=off -c max_connections=40 -c shared_buffers=16MB) >"$work/pg.log" 2>&1 &
pid=$!
pids+=("$pid")
trap 'kill -INT "$pid" 2>/dev/null && timeout 20 tail --pid="$pid" -f /dev/null; clean_up' EXIT
await_server "$pid" "$work/pg.log" "$bin/pg_isready" -q -h "$work/pg" -U weft -d postgres

for procs in 1 4; do
    WEFT_PROCS=$procs example postgres_client "host=$work/pg user=weft dbname=postgres"
    expect_line 'rows 500 of 500, different 500, notices 20 of 20' "$procs Ps"
done

example postgres_client "host=$work/pg user=nobody_of_that_name dbname=postgres"
expect_status 1 "a user that is not there"
grep -q '^postgres_client: cannot connect: .*role "nobody_of_that_name" does not exist' "$work/err" ||
    fail "a user that is not there: $(cat "$work/err")"

trap clean_up EXIT
kill -INT "$pid" # its fast shutdown: all its processes are gone when it has ended
await "$pid"
forget "$pid"
example postgres_client "host=$work/pg user=weft dbname=postgres"
expect_status 1 "no server"
