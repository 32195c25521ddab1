#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh ROOT BUILD CC CXX: installs BUILD into a fresh prefix, moves the prefix, and there builds
# and runs a user's program in C and in C++, static and shared, through pkg-config and through
# find_package.
set -euo pipefail

root=$(cd "${1:?usage: run.sh ROOT BUILD CC CXX}" && pwd)
build=$(cd "${2:?}" && pwd)
cc=${3:?} cxx=${4:?}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/moved
libdir=$(sed -n 's/^CMAKE_INSTALL_LIBDIR:[A-Z]*=//p' "$build/CMakeCache.txt")
version=$(sed -nE 's/^#define WEFT_VERSION_[A-Z]+ +([0-9]+)$/\1/p' "$root/include/weft/runtime.h" |
    paste -sd.)

fail()
{
    echo "$*"
    exit 1
}

install_and_move()
{
    cmake --install "$build" --prefix "$work/first" >"$work/install.log" ||
        { cat "$work/install.log"; fail "cmake --install failed"; }
    if grep -rIlE --include='*.pc' --include='*.cmake' -- "$work/first|$build|boost" "$work/first"; then
        fail "the files above name the prefix, the build folder or boost"
    fi
    by_gdb
    mv "$work/first" "$prefix"
}

# Where the library lies as it was installed, gdb finds its commands by itself.
by_gdb()
{
    local auto=$work/first/share/gdb/auto-load lib said
    lib=$(readlink -f "$work/first/$libdir/libweft.so")
    [ -f "$auto$lib-gdb.py" ] || fail "not installed: $auto$lib-gdb.py"
    cmp "$root/tools/gdb/weft-gdb.py" "$work/first/share/weft/weft-gdb.py"
    command -v gdb >/dev/null || return 0
    said=$(gdb -batch -nx -iex "add-auto-load-scripts-directory $auto" \
        -iex "add-auto-load-safe-path $auto" "$lib" -ex 'info coroutines' 2>&1 </dev/null) || true
    [[ $said == *'no process: run the program'* ]] || fail "gdb does not load its script: $said"
    echo "loads: the commands of gdb"
}

check_files()
{
    local file tool
    for file in include/weft.h include/weft/runtime.h "$libdir/libweft.a" \
        "$libdir/libweft.so" "$libdir/libweft.so.$version" "$libdir/libweft-lockcheck.so" \
        "$libdir/pkgconfig/weft.pc" "$libdir/cmake/weft/weft-config.cmake" bin/weft-lint; do
        [ -e "$prefix/$file" ] || fail "not installed: $file"
    done
    diff -r "$root/include" "$prefix/include" || fail "the installed headers differ"
    for tool in "$root"/tools/*/; do
        tool=$(basename "$tool")
        if [ -e "$root/tools/$tool/CMakeLists.txt" ] || ! compgen -G "$root/tools/$tool/*.c" >/dev/null; then
            continue
        fi
        [ -x "$prefix/bin/$tool" ] || fail "not installed: bin/$tool"
        ! ldd "$prefix/bin/$tool" | grep 'not found' || fail "bin/$tool lacks the library above"
    done
}

# Runs PROGRAM and checks what it prints and whether it needs libweft.so.
check_program() # PROGRAM shared|static
{
    local said needs=static
    said=$(LD_LIBRARY_PATH=$prefix/$libdir timeout 30 "$1") || fail "$1 exited with status $?"
    [ "$said" = "weft $version" ] || fail "$1 printed \"$said\", not \"weft $version\""
    ! readelf -d "$1" | grep -q 'NEEDED.*boost' || fail "$1 needs a boost library"
    ! readelf -d "$1" | grep -q 'NEEDED.*libweft\.so' || needs=shared
    [ "$needs" = "$2" ] || fail "$1 is $needs, not $2"
    echo "runs: ${1#"$work"/}"
}

by_pkg_config()
{
    local cflags libs static_libs kind
    export PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
    [ "$(pkg-config --modversion weft)" = "$version" ] || fail "weft.pc has another version"
    cflags=$(pkg-config --cflags weft)
    libs=$(pkg-config --libs weft)
    static_libs=$(pkg-config --static --libs weft)
    [[ " $cflags " == *" -I$prefix/"* && " $cflags " == *" -fstack-clash-protection "* ]] ||
        fail "weft.pc's cflags: $cflags"
    for kind in c c++; do
        local compile=("$cc" -std=c11 -xc)
        [ "$kind" = c ] || compile=("$cxx" -std=c++17 -xc++)
        # shellcheck disable=SC2086 # flags are words
        "${compile[@]}" -Wall -Wextra -pedantic -Werror $cflags "$root/tests/install/consumer.c" \
            -xnone $libs -o "$work/pc-$kind-shared"
        # shellcheck disable=SC2086
        "${compile[@]}" -Wall -Wextra -pedantic -Werror $cflags "$root/tests/install/consumer.c" \
            -xnone -Wl,-Bstatic $static_libs -Wl,-Bdynamic -o "$work/pc-$kind-static"
        check_program "$work/pc-$kind-shared" shared
        check_program "$work/pc-$kind-static" static
    done
}

by_find_package()
{
    local language
    if ! { cmake -S "$root/tests/install" -B "$work/cmake" "-DCMAKE_PREFIX_PATH=$prefix" \
        "-DWEFT_WANTED=$version" "-DCMAKE_C_COMPILER=$cc" "-DCMAKE_CXX_COMPILER=$cxx" -G Ninja &&
        cmake --build "$work/cmake"; } >"$work/cmake.log" 2>&1; then
        cat "$work/cmake.log"
        fail "the project of tests/install does not build"
    fi
    grep -q "^weft_DIR:.*=$prefix/" "$work/cmake/CMakeCache.txt" || fail "found another weft"
    for language in c cxx; do
        check_program "$work/cmake/${language}_weft" shared
        check_program "$work/cmake/${language}_weft_static" static
    done
}

install_and_move
check_files
by_pkg_config
by_find_package
