# SPDX-License-Identifier: Apache-2.0
#
# Finds the static liburing.a and takes its objects, each global name with wf_ before it, so that
# nobody who links weft meets liburing.  Sets WEFT_URING (may weft use io_uring?),
# weft_uring_objects and weft_uring_archive.  Without the package weft is built all the same, and knows epoll alone.

find_library(WEFT_URING_ARCHIVE NAMES liburing.a DOC "static liburing, for WEFT_NETPOLL=io_uring")
find_path(WEFT_URING_INCLUDE liburing.h DOC "folder that holds liburing.h")
mark_as_advanced(WEFT_URING_ARCHIVE WEFT_URING_INCLUDE)
set(weft_uring_objects "")
set(weft_uring_archive "")
if(WEFT_URING_ARCHIVE AND WEFT_URING_INCLUDE)
    set(WEFT_URING ON)
else()
    set(WEFT_URING OFF)
    message(STATUS "weft knows epoll alone: io_uring needs the package liburing-dev")
    return()
endif()

set(weft_uring_dir "${CMAKE_CURRENT_BINARY_DIR}/liburing")
file(REMOVE_RECURSE "${weft_uring_dir}")
file(MAKE_DIRECTORY "${weft_uring_dir}")
execute_process(
    COMMAND "${CMAKE_AR}" x "${WEFT_URING_ARCHIVE}"
    WORKING_DIRECTORY "${weft_uring_dir}"
    COMMAND_ERROR_IS_FATAL ANY
)
execute_process(
    COMMAND "${CMAKE_NM}" -g --defined-only "${WEFT_URING_ARCHIVE}"
    OUTPUT_VARIABLE weft_uring_names
    ERROR_QUIET
    COMMAND_ERROR_IS_FATAL ANY
)
string(REGEX MATCHALL " T [A-Za-z0-9_]+" weft_uring_names "${weft_uring_names}")
list(TRANSFORM weft_uring_names REPLACE " T (.*)" "\\1 wf_\\1")
list(JOIN weft_uring_names "\n" weft_uring_names)
file(WRITE "${weft_uring_dir}/names" "${weft_uring_names}\n")
file(GLOB weft_uring_parts "${weft_uring_dir}/*.o" "${weft_uring_dir}/*.ol")
foreach(part ${weft_uring_parts})
    get_filename_component(name "${part}" NAME_WE)
    set(object "${weft_uring_dir}/wf_uring_${name}.o")
    execute_process(
        COMMAND "${CMAKE_OBJCOPY}" "--redefine-syms=${weft_uring_dir}/names" "${part}" "${object}"
        COMMAND_ERROR_IS_FATAL ANY
    )
    list(APPEND weft_uring_objects "${object}")
endforeach()

# For the shared library: of an archive the linker can hide the names.
set(weft_uring_archive "${weft_uring_dir}/libwf_uring.a")
execute_process(
    COMMAND "${CMAKE_AR}" rcs "${weft_uring_archive}" ${weft_uring_objects}
    COMMAND_ERROR_IS_FATAL ANY
)
