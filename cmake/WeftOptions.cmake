# SPDX-License-Identifier: Apache-2.0
#
# The options of the build and the flags that hold for every target of the tree.

option(WEFT_WERROR "treat warnings as errors" OFF)
option(WEFT_DEBUG "compile the assertions in (WEFT_DEBUG=1)" OFF)
option(WEFT_ASAN "build with AddressSanitizer and UBSan (WEFT_ASAN=1)" OFF)
option(WEFT_TSAN "build with ThreadSanitizer (WEFT_TSAN=1); needs clang" OFF)
option(WEFT_FAULTS "let tests make system calls fail (WEFT_FAULTS=1)" OFF)
option(WEFT_VALGRIND "tell valgrind of every stack (WEFT_VALGRIND=1)" OFF)
option(WEFT_BUILD_TESTS "build the tests" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_BUILD_BENCH "build the benchmarks of tools/bench" OFF)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "kind of build" FORCE)
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(weft_c_warnings
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef
)
add_compile_options("$<$<COMPILE_LANGUAGE:C>:${weft_c_warnings}>")
if(WEFT_WERROR)
    add_compile_options($<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()

if(WEFT_ASAN AND WEFT_TSAN)
    message(FATAL_ERROR "WEFT_ASAN and WEFT_TSAN exclude each other: build two trees")
endif()
if(WEFT_TSAN AND NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR
        "WEFT_TSAN needs clang, not ${CMAKE_C_COMPILER_ID} (gcc's TSan holds 8,128 coroutines at "
        "most): configure a fresh tree with -DCMAKE_C_COMPILER=clang or --preset tsan"
    )
endif()

set(WEFT_SANITIZED OFF)
if(WEFT_ASAN OR WEFT_TSAN)
    set(WEFT_SANITIZED ON)
endif()
if(WEFT_ASAN)
    set(weft_sanitize -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(WEFT_TSAN)
    set(weft_sanitize -fsanitize=thread)
endif()
if(WEFT_SANITIZED)
    add_compile_options(${weft_sanitize} -fno-omit-frame-pointer)
    add_link_options(${weft_sanitize})
endif()

if(WEFT_VALGRIND)
    find_path(WEFT_VALGRIND_INCLUDE valgrind/valgrind.h)
    if(NOT WEFT_VALGRIND_INCLUDE)
        message(FATAL_ERROR "WEFT_VALGRIND needs valgrind/valgrind.h: install the package valgrind")
    endif()
endif()

foreach(flag WEFT_DEBUG WEFT_FAULTS WEFT_ASAN WEFT_TSAN WEFT_VALGRIND)
    if(${flag})
        add_compile_definitions(${flag}=1)
    endif()
endforeach()

# Source lines in dumps come from elfutils' libdw, opened at run time if it is there; only its
# headers are needed here, and without them a dump names functions and addresses.
find_path(WEFT_LIBDW_INCLUDE elfutils/libdwfl.h DOC "folder that holds elfutils/libdwfl.h")
mark_as_advanced(WEFT_LIBDW_INCLUDE)
