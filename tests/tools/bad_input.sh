#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the user got wrong is told in one line, with the value and the remedy; the status is 2, and
# nothing is left behind.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

mkdir "$work/left"
checks=0

expect_bad() # VALUE COMMAND...
{
    local value=$1 lines
    shift
    status=0
    (cd "$work/left" && timeout "$limit" "$@") >"$work/out" 2>"$work/err" </dev/null || status=$?
    expect_status 2 "$*"
    lines=$(wc -l <"$work/err")
    [ "$lines" -eq 1 ] || fail "$*: $lines lines on stderr: $(cat "$work/err")"
    grep -qF -- "$value" "$work/err" || fail "$*: '$value' is not in: $(cat "$work/err")"
    grep -qE 'give|see|start|raise|say|name|check' "$work/err" ||
        fail "$*: no remedy in: $(cat "$work/err")"
    [ ! -s "$work/out" ] || fail "$*: said something on stdout: $(cat "$work/out")"
    [ -z "$(ls -A "$work/left")" ] || fail "$*: left behind: $(ls -A "$work/left")"
    checks=$((checks + 1))
}

limited() # FILES COMMAND...
{
    ulimit -Sn "$1" && ulimit -Hn "$1"
    shift
    "$@"
}
export -f limited

bad_echo()
{
    local value
    for value in 127.0.0.1 127.0.0.1: 127.0.0.1:x 127.0.0.1:65536 127.0.0.1:-1 256.0.0.1:0 \
        '[::1:0' 'no such host:0' example.invalid:7; do
        expect_bad "$value" "$weft_echo" "$value"
    done
    expect_bad 192.0.2.1:0 "$weft_echo" 192.0.2.1:0
    expect_bad "$address" "$weft_echo" "$address" # in use
    expect_bad "'0'" "$weft_echo" --procs 0 127.0.0.1:0
    expect_bad "'two'" "$weft_echo" --procs two 127.0.0.1:0
    expect_bad "'-1'" "$weft_echo" --grace -1 127.0.0.1:0
    expect_bad "'1.5'" "$weft_echo" --grace 1.5 127.0.0.1:0
    expect_bad --frobnicate "$weft_echo" --frobnicate 127.0.0.1:0
    expect_bad "'-x'" "$weft_echo" -x 127.0.0.1:0
    expect_bad --grace "$weft_echo" 127.0.0.1:0 --grace
    expect_bad "no address" "$weft_echo"
    expect_bad extra "$weft_echo" 127.0.0.1:0 extra
}

bad_stress()
{
    local value target=tcp://$address
    for value in "$address" "udp://$address" tcp:// tcp://127.0.0.1 tcp://127.0.0.1:0 \
        tcp://127.0.0.1:70000 tcp://:7 tcp://::1:7 'tcp://[::1:7' tcp://127.0.0.1:7/path \
        tcp://127.0.0.1:7x 'tcp://a b:7'; do
        expect_bad "$value" "$weft_stress" "$value"
    done
    for value in 0 -1 1000001 many 99999999999999999999 ''; do
        expect_bad "-c '$value'" "$weft_stress" -c "$value" "$target"
    done
    for value in 0 -5 67108865 64k; do
        expect_bad "-s '$value'" "$weft_stress" -s "$value" "$target"
    done
    for value in 0 1.5 86401; do
        expect_bad "-d '$value'" "$weft_stress" -d "$value" "$target"
    done
    expect_bad "'0'" "$weft_stress" --procs 0 "$target"
    expect_bad --frobnicate "$weft_stress" --frobnicate "$target"
    expect_bad "'-x'" "$weft_stress" -x "$target"
    expect_bad "'-c'" "$weft_stress" "$target" -c
    expect_bad "no target" "$weft_stress"
    expect_bad extra "$weft_stress" "$target" extra
}

# The server's port when it is gone: nobody listens there.
no_server()
{
    local target=tcp://$address
    expect_bad "$target" "$weft_stress" -d 1 "$target"
    expect_bad "$target" "$weft_stress" -d 1 --json figures "$target"
    expect_bad no-such-name.invalid "$weft_stress" tcp://no-such-name.invalid:7
}

no_room()
{
    local target=tcp://$address
    expect_bad "-c 1000" bash -c 'limited "$@"' - 500 "$weft_stress" -c 1000 "$target"
    grep -q 'at most -c 436 ' "$work/err" || fail "it does not say how many would do"
    expect_bad 20 bash -c 'limited "$@"' - 20 "$weft_stress" -c 1 "$target"
    expect_bad "-c 1000" bash -c 'limited "$@"' - 500 "$weft_stress" -c 1000 --json figures "$target"
    expect_bad /no/such/folder/figures "$weft_stress" --json /no/such/folder/figures "$target"
    expect_bad "'.'" "$weft_stress" --json . "$target"
}

start_server "$weft_echo" "$apart:0"
bad_echo
bad_stress
no_room
stop_server
no_server
echo "$checks bad inputs, each told in one line"
