# SPDX-License-Identifier: Apache-2.0
#
# Programs by folder: each tools/<name>/ with C files becomes the program <name>, unless it has a
# CMakeLists.txt of its own; each examples/<name>.c the program example-<name>.  They see include/
# and their own folder, no more, and link the static library, so that an installed program runs from
# anywhere.
#
# Examples that need another library are left out where that is missing.
#
# Sets weft_tools and weft_examples, the targets made, and weft_examples_left_out, files.

find_library(WEFT_CJSON NAMES cjson DOC "cJSON, for the reports of the tools")

function(weft_add_tool name sources)
    add_executable(${name} ${sources})
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
    target_link_libraries(${name} PRIVATE weft_static)
    # Only what a tool calls becomes a dependency of it.
    target_link_options(${name} PRIVATE -Wl,--as-needed)
    target_link_libraries(${name} PRIVATE $<$<BOOL:${WEFT_CJSON}>:${WEFT_CJSON}> m)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
endfunction()

set(weft_tools "")
file(GLOB weft_tool_dirs CONFIGURE_DEPENDS LIST_DIRECTORIES true tools/*)
foreach(dir ${weft_tool_dirs})
    get_filename_component(name "${dir}" NAME)
    file(GLOB sources CONFIGURE_DEPENDS "${dir}/*.c")
    if(IS_DIRECTORY "${dir}" AND sources AND NOT EXISTS "${dir}/CMakeLists.txt")
        weft_add_tool(${name} "${sources}")
        list(APPEND weft_tools ${name})
    endif()
endforeach()
if(weft_tools AND NOT WEFT_CJSON)
    message(FATAL_ERROR "the tools need cJSON: install the package libcjson-dev")
endif()

install(PROGRAMS tools/weft-lint DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)

# Examples show what a user writes, so they get a user's flags: no _GNU_SOURCE from here.
set(weft_needs_redis_client hiredis hiredis/hiredis.h libhiredis-dev)
set(weft_needs_postgres_client pq postgresql/libpq-fe.h libpq-dev)
set(weft_needs_http_fetch curl curl/curl.h libcurl4-openssl-dev)

# Sets OUT to the library that the example needs, to nothing, or to NOTFOUND.
function(weft_example_library out name)
    set(${out} "" PARENT_SCOPE)
    if(NOT weft_needs_${name})
        return()
    endif()
    list(GET weft_needs_${name} 0 library)
    list(GET weft_needs_${name} 1 header)
    list(GET weft_needs_${name} 2 package)
    find_library(WEFT_LIB_${library} NAMES ${library} DOC "for the example ${name}")
    find_path(WEFT_INCLUDE_${library} ${header} DOC "folder that holds ${header}")
    if(WEFT_LIB_${library} AND WEFT_INCLUDE_${library})
        set(${out} "${WEFT_LIB_${library}}" PARENT_SCOPE)
    else()
        message(STATUS "left out: examples/${name}.c, which needs the package ${package}")
        set(${out} NOTFOUND PARENT_SCOPE)
    endif()
endfunction()

set(weft_examples "")
set(weft_examples_left_out "")
file(GLOB weft_example_sources CONFIGURE_DEPENDS examples/*.c)
foreach(source ${weft_example_sources})
    get_filename_component(name "${source}" NAME_WE)
    weft_example_library(library ${name})
    if(library STREQUAL "NOTFOUND")
        list(APPEND weft_examples_left_out ${name}.c)
        continue()
    endif()
    add_executable(example-${name} "${source}")
    set_target_properties(example-${name} PROPERTIES
        OUTPUT_NAME ${name}
        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/examples"
    )
    target_link_libraries(example-${name} PRIVATE weft_static ${library})
    list(APPEND weft_examples example-${name})
endforeach()
