#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The examples with channels do what they say: the small ones print what is known beforehand, the
# shutdown drains or is cut short, and the chat server keeps its rooms apart, lets no slow reader
# stall a room, lets silent and stuck clients go, and sends what it owes before it ends.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

examples=$build/examples

expect_output() # EXAMPLE LINES
{
    local said
    said=$(timeout "$limit" "$examples/$1") || fail "$1 ended with status $?"
    [ "$said" = "$2" ] || fail "$1 said: $said"
    echo "$1"
}

# The first 100 primes by trial division, as prime_sieve prints them.
primes()
{
    local n d found=0
    for ((n = 2; found < 100; n++)); do
        for ((d = 2; d * d <= n; d++)); do
            ((n % d)) || continue 2
        done
        found=$((found + 1))
        printf '%3d%s' "$n" "$( ((found % 10)) && echo ' ')"
        ((found % 10)) || echo
    done
}

expect_output prime_sieve "$(primes)"
expect_output pipeline "1 4 9 16 25 36 49 64 81 100
the first square above 1000: 1024"
expect_output worker_pool "1000 of 1000 jobs done once by 4 workers
sum of the squares: 333833500"
expect_output rate_limiter "tokens after a rest: 3
a burst of 5: 3 allowed at once
20 that wait: 20 allowed, none before its tick"
expect_output pub_sub "ann   missed 0, got one two three
bob   missed 0, got one
carol missed 0, got one two three
slow  missed 2, got one"

# ---- Shutdown ------------------------------------------------------------------------------

# Start graceful_shutdown and signal it once it runs; further arguments: lines to await, with a
# signal after each.
shut_down() # ARGUMENT LINES [AWAITED...]
{
    local argument=$1 lines=$2 awaited said
    shift 2
    : >"$work/out" # what an earlier run said must not be taken for this one's
    "$examples/graceful_shutdown" "$argument" >"$work/out" 2>"$work/err" &
    pid=$!
    pids+=("$pid")
    for awaited in running "$@"; do
        await_line "$work/out" "^$awaited"
        kill -TERM "$pid"
    done
    await "$pid"
    forget "$pid"
    expect_status 0 "graceful_shutdown $argument"
    said=$(cat "$work/out" "$work/err")
    [ "$said" = "$lines" ] || fail "graceful_shutdown $argument said: $said"
}

shut_down '' 'running
signal: no new jobs
all that was taken is done'
shut_down stuck 'running
signal: no new jobs
the grace is over: the rest is cancelled
some was not done'
shut_down stuck 'running
signal: no new jobs
second signal: the rest is cancelled
some was not done' signal
echo graceful_shutdown

# ---- Chat ----------------------------------------------------------------------------------

declare -A client # descriptor by name

connect() # NAME
{
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/${address##*:}"
    client[$1]=$fd
    hear "$1" '* your name?'
}

enter() # NAME
{
    connect "$1"
    tell "$1" "$1"
    hear "$1" "* $1 joins hall"
}

tell() # NAME LINE
{
    printf '%s\n' "$2" >&"${client[$1]}"
}

hear() # NAME LINE: the next line is this one
{
    local line=
    read -t "$limit" -r line <&"${client[$1]}" || fail "$1 hears nothing, not '$2'"
    [ "$line" = "$2" ] || fail "$1 hears '$line', not '$2'"
}

all_hear() # LINE NAME...
{
    local name line=$1
    shift
    for name; do
        hear "$name" "$line"
    done
}

# Nothing more comes, and the connection is closed.
hear_end() # NAME
{
    local line='' status=0
    read -t "$limit" -r line <&"${client[$1]}" || status=$?
    [ "$status" -eq 1 ] || fail "$1 hears '$line' instead of the end (status $status)"
    hang_up "$1"
}

hang_up() # NAME
{
    local fd=${client[$1]}
    exec {fd}>&-
    unset "client[$1]"
}

start_server "$examples/chat" 127.0.0.1:0
enter ann
enter bob
hear ann '* bob joins hall'

tell ann 'join tea'
all_hear '* ann leaves hall' ann bob
hear ann '* ann joins tea'
tell bob 'say who is here?'
hear bob 'bob: who is here?' # and ann, in another room, does not hear it
tell bob 'join tea'
hear bob '* bob leaves hall'
all_hear '* bob joins tea' ann bob
tell ann $'say milk or lemon?\r'
all_hear 'ann: milk or lemon?' ann bob
tell bob 'sing'
hear bob '* commands: join ROOM, say TEXT, leave, quit'
tell bob 'leave'
all_hear '* bob leaves tea' ann bob
hear bob '* bob joins hall'
tell ann 'quit'
hear ann '* ann leaves tea'
hear ann '* bye'
hear_end ann
echo "chat: rooms"

printf 'join tea\nsay one\nsay two\nquit\n' >&"${client[bob]}" # several lines in one packet
for line in '* bob leaves hall' '* bob joins tea' 'bob: one' 'bob: two' '* bob leaves tea' '* bye'; do
    hear bob "$line"
done
hear_end bob
enter carl
enter dora
hear carl '* dora joins hall'
hang_up dora # without a word
hear carl '* dora leaves hall'
connect mute
hang_up mute # without a name: nobody hears of it
enter eve
hear carl '* eve joins hall'
tell eve "say $(printf 'x%.0s' {1..300})"
hear eve 'Message too long'
all_hear '* eve leaves hall' eve carl
hear eve '* bye'
hear_end eve
echo "chat: ends"

# A reader that takes nothing: far more is said than its socket and its outbox hold.
enter slow
hear carl '* slow joins hall'
words=$(printf 'w%.0s' {1..240})
for ((i = 0; i < 4000; i++)); do
    tell carl "say $i $words"
    hear carl "carl: $i $words"
done
tell carl 'say done'
hear carl 'carl: done'
echo "chat: a slow reader stalls nobody"

# Its connection has more under way than it will take: the server waits for its grace, not for ever.
kill -TERM "$pid"
hear carl '* the server stops'
hear_end carl
stop_server # the second signal is of no consequence
heard=0
while read -t "$limit" -r line <&"${client[slow]}"; do
    [[ $line == "carl: $heard $words" ]] || break
    heard=$((heard + 1))
done
((heard > 0 && heard < 4000)) || fail "slow was sent $heard lines, not some of 4000"
hang_up slow
echo "chat: stops"

start_server "$examples/chat" 127.0.0.1:0 2
connect mute
hear mute 'Connection timed out'
hear_end mute
enter idle
hear idle 'Connection timed out'
hear idle '* idle leaves hall'
hear idle '* bye'
hear_end idle
enter carl
enter stuck
hear carl '* stuck joins hall'
line=
for ((i = 0, end = SECONDS + limit; SECONDS < end; i++)); do
    tell carl "say $i $words"
    read -t "$limit" -r line <&"${client[carl]}" || fail "carl was let go"
    [ "$line" = "carl: $i $words" ] || break
done
[ "$line" = '* stuck leaves hall' ] || fail "a client that takes nothing was not let go: $line"
hang_up stuck
hang_up carl
stop_server
echo "chat: patience"

status=0
timeout "$limit" "$examples/chat" nonsense >"$work/out" 2>"$work/err" || status=$?
expect_status 2 "chat nonsense"
grep -q nonsense "$work/err" || fail "chat does not name the bad address"
