# SPDX-License-Identifier: Apache-2.0
#
# Finds the static libboost_context.a and takes its context switch out of it.  Sets
# WEFT_BOOST_CONTEXT (the archive), weft_context_objects (make, jump and ontop, as objects), and
# weft_context_options, with which what calls them is compiled.

set(weft_context_package libboost-context1.81-dev)

find_library(WEFT_BOOST_CONTEXT NAMES libboost_context.a DOC "static boost.context 1.81")
find_path(WEFT_BOOST_INCLUDE boost/version.hpp DOC "folder that holds boost/version.hpp")
find_path(WEFT_ATOMIC_OPS_INCLUDE atomic_ops.h DOC "folder that holds atomic_ops.h")
if(NOT WEFT_BOOST_CONTEXT OR NOT WEFT_BOOST_INCLUDE)
    message(FATAL_ERROR "no static libboost_context.a: install the package ${weft_context_package}")
endif()
if(NOT WEFT_ATOMIC_OPS_INCLUDE)
    message(FATAL_ERROR "no atomic_ops.h: install the package libatomic-ops-dev")
endif()

# The layout of a saved context is Boost's own affair and changes: 1.74 has another one.
file(STRINGS "${WEFT_BOOST_INCLUDE}/boost/version.hpp" weft_boost_line
    REGEX "^#define BOOST_LIB_VERSION ")
if(NOT weft_boost_line MATCHES "\"1_81\"")
    string(REGEX REPLACE ".*\"(.*)\".*" "\\1" weft_boost_found "${weft_boost_line}")
    message(FATAL_ERROR
        "weft knows the saved context of Boost 1.81 only, and ${WEFT_BOOST_INCLUDE} has "
        "${weft_boost_found}: install the package ${weft_context_package}"
    )
endif()

set(weft_context_dir "${CMAKE_CURRENT_BINARY_DIR}/boost_context")
file(MAKE_DIRECTORY "${weft_context_dir}")
execute_process(
    COMMAND "${CMAKE_AR}" x "${WEFT_BOOST_CONTEXT}"
    WORKING_DIRECTORY "${weft_context_dir}"
    COMMAND_ERROR_IS_FATAL ANY
)
set(weft_context_objects "")
foreach(part make jump ontop)
    file(GLOB weft_context_part "${weft_context_dir}/${part}_*.o")
    list(LENGTH weft_context_part weft_context_count)
    if(NOT weft_context_count EQUAL 1)
        message(FATAL_ERROR
            "${WEFT_BOOST_CONTEXT} holds ${weft_context_count} objects ${part}_*.o, not one: "
            "install the package ${weft_context_package}"
        )
    endif()
    list(APPEND weft_context_objects ${weft_context_part})
endforeach()

# The switch pushes below its caller's stack pointer; see wf_jump in runtime/context.h.
set(weft_context_options "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    set(weft_context_options -mno-red-zone -DWEFT_NO_RED_ZONE=1)
endif()
