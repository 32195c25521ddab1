#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# libweft-lockcheck.so reports a pthread lock of each kind that is held across a park, a yield or
# the coroutine's end, with the two backtraces, whether libweft is shared or static; and says
# nothing of a program that does not.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/../tools/support.bash"
here=$here/../hazards

flags=("-I$here/../../include" -rdynamic -lpthread)
compile lock_held "$build/libweft.so" "-Wl,-rpath,$build" "${flags[@]}"
mv "$work/lock_held" "$work/shared"
compile lock_held "$build/libweft.a" "${flags[@]}"
mv "$work/lock_held" "$work/static"

watched() # PROGRAM KIND WAY
{
    status=0
    { timeout "$limit" env LD_PRELOAD="$build/libweft-lockcheck.so" "$@" >"$work/out" \
        2>"$work/err" || status=$?; } 2>/dev/null # bash would report an abort
}

# The text between two lines that match.
part() # FROM TO
{
    sed -nE "/$1/,/$2/p" "$work/err"
}

expect_report() # PROGRAM KIND WAY LOCK VERB
{
    watched "$work/$1" "$2" "$3"
    expect_status 0 "$1 $2 $3"
    [ "$(grep -c '^weft-lockcheck:' "$work/err")" -eq 1 ] &&
        grep -qE "^weft-lockcheck: coroutine [0-9]+ \(holder\) $5 while it holds the $4 0x" "$work/err" ||
        { cat "$work/err" >&2; fail "$1 $2 $3: not one report of a $4"; }
    part '^  taken at' "^  $5 at" | grep -q 'take_the_lock' ||
        { cat "$work/err" >&2; fail "$1 $2 $3: does not say where the lock was taken"; }
    [ "$5" = ends ] || part "^  $5 at" '^$' | grep -q 'park_here' ||
        { cat "$work/err" >&2; fail "$1 $2 $3: does not say where it parks"; }
}

for kind in mutex trylock timedlock mtx twice; do
    expect_report shared $kind sleep mutex parks
done
expect_report shared rdlock sleep rwlock parks
expect_report shared wrlock yield rwlock yields
expect_report shared spin sleep spinlock parks
expect_report shared mutex chan mutex parks
expect_report shared mutex waitgroup mutex parks
expect_report shared mutex end mutex ends
expect_report static mutex sleep mutex parks
echo "locks of every kind are reported"

for program in shared static; do
    watched "$work/$program" clean -
    expect_status 0 "$program clean"
    [ ! -s "$work/err" ] || { cat "$work/err" >&2; fail "$program: a false alarm"; }
done
echo "no false alarm"

export WEFT_LOCKCHECK=abort
watched "$work/shared" mutex sleep
[ "$status" -eq 134 ] || fail "WEFT_LOCKCHECK=abort: status $status, not 134"
unset WEFT_LOCKCHECK
watched "$work/shared" clean -
expect_status 0 "clean"

# Without the library nothing is said, and nothing is different.
status=0
timeout "$limit" "$work/shared" mutex sleep >"$work/out" 2>"$work/err" || status=$?
expect_status 0 "unwatched"
[ ! -s "$work/err" ] || fail "a report without the library"
