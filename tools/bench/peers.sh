# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the peers that are not C, each from Debian's packages and only if these are there: a peer
# that is missing leaves its column empty.  Sourced by run.

# The newest Go of Debian's packages; empty: none.
find_go()
{
    local go
    for go in "${WEFT_BENCH_GO:-}" $(printf '%s\n' /usr/lib/go-*/bin/go | sort -rV) go; do
        if [ -n "$go" ] && command -v "$go" >/dev/null; then
            command -v "$go"
            return
        fi
    done
}

# Is PROGRAM there and newer than all SOURCES, and built by VERSION?
is_fresh() # PROGRAM VERSION SOURCE...
{
    local program=$1 version=$2
    shift 2
    [ -e "$program" ] && [ -z "$(find "$@" -newer "$program")" ] &&
        [ "$(cat "$program.version" 2>/dev/null)" = "$version" ]
}

build_go() # SOURCE_DIR...
{
    local go source program files
    go=$(find_go)
    [ -n "$go" ] || return 0
    version[go]=$("$go" version | awk '{ print substr($3, 3) }')
    for source in "$@"; do
        program=$bin/bench_go_$(basename "$(dirname "$source")")
        files=("$here/$source"/*.go)
        is_fresh "$program" "${version[go]}" "${files[@]}" && continue
        # Without a home Go has no cache of its own.
        GOCACHE=${GOCACHE:-${HOME:-$bin}/.cache/go-build} GOTOOLCHAIN=local GO111MODULE=off \
            GOFLAGS='' "$go" build -o "$program" "${files[@]}" ||
            die 1 "Go ${version[go]} could not build $here/$source"
        echo "${version[go]}" >"$program.version"
    done
}

# Takes more than a minute the first time: not for the smoke run.
build_tokio()
{
    local cargo=/usr/bin/cargo crates=/usr/share/cargo/registry program=$bin/bench_tokio_compute
    [ -x "$cargo" ] && compgen -G "$crates/tokio-1*" >/dev/null || return 0
    version[tokio]="$(basename "$(compgen -G "$crates/tokio-1*")"), $(/usr/bin/rustc --version)"
    is_fresh "$program" "${version[tokio]}" "$here/tokio" && return 0
    [ $((smoke + report_only)) -eq 0 ] || return 0
    say "building the peers on tokio"
    mkdir -p "$bin/tokio"
    cp -r "$here/tokio/." "$bin/tokio"
    if (cd "$bin/tokio" && RUSTC=/usr/bin/rustc "$cargo" build --release --offline \
        --config 'source.crates-io.replace-with="debian"' \
        --config "source.debian.directory=\"$crates\"") >"$bin/tokio.log" 2>&1; then
        cp "$bin"/tokio/target/release/bench_tokio_{compute,echo} "$bin"
        echo "${version[tokio]}" >"$program.version"
    else
        echo "tokio's column stays empty: it did not build, see $bin/tokio.log" >&2
    fi
}

build_fiber()
{
    local program=$bin/bench_fiber_compute header=/usr/include/boost/fiber/all.hpp
    [ -e "$header" ] && command -v g++ >/dev/null || return 0
    version[fiber]=$(sed -n 's/^#define BOOST_LIB_VERSION "\(.*\)"/\1/p' \
        /usr/include/boost/version.hpp | tr _ .)
    is_fresh "$program" "${version[fiber]}" "$here/compute"/{fiber,bench.h} && return 0
    [ $((smoke + report_only)) -eq 0 ] || return 0
    say "building the peers on Boost.Fiber"
    if g++ -std=c++17 -O2 -DNDEBUG -o "$program" "$here/compute/fiber/rows.cpp" \
        -l:libboost_fiber.a -l:libboost_context.a -lpthread >"$bin/fiber.log" 2>&1; then
        echo "${version[fiber]}" >"$program.version"
    else
        echo "Boost.Fiber's column stays empty: it did not build, see $bin/fiber.log" >&2
    fi
}

# The program alone, out of its package: installed, it would begin to serve the machine.
unpack_nginx()
{
    local nginx
    nginx=$(command -v nginx || compgen -G "$bin/nginx/usr/sbin/nginx" || true)
    if [ -z "$nginx" ] && [ $((smoke + report_only)) -eq 0 ] && command -v apt-get >/dev/null; then
        mkdir -p "$bin/nginx"
        (cd "$bin/nginx" && apt-get -qq -o APT::Sandbox::User=root download nginx &&
            dpkg -x nginx_*.deb .) >"$bin/nginx.log" 2>&1 ||
            echo "nginx's column stays empty: see $bin/nginx.log" >&2
        nginx=$(compgen -G "$bin/nginx/usr/sbin/nginx" || true)
    fi
    rm -f "$bin/bench_nginx"
    [ -n "$nginx" ] || return 0
    version[nginx]=$("$nginx" -v 2>&1 | sed 's/.*nginx\///')
    # shellcheck disable=SC2016 # the script is to expand it
    printf '#!/bin/sh\nexec bash %q %q "$@"\n' "$here/net/nginx.sh" "$nginx" >"$bin/bench_nginx"
    chmod +x "$bin/bench_nginx"
}

build_peers()
{
    build_go compute/go net/go
    build_tokio
    build_fiber
    unpack_nginx
    version[uv]=$(dpkg-query -W -f '${Version}' libuv1-dev 2>/dev/null || true)
    version[uring]=$(dpkg-query -W -f '${Version}' liburing-dev 2>/dev/null || true)
}
