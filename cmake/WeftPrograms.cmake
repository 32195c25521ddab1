# SPDX-License-Identifier: Apache-2.0
#
# Programs by folder: each tools/<name>/ with C files becomes the program <name>, unless it has a
# CMakeLists.txt of its own; each examples/<name>.c the program example-<name>.  They see include/
# and their own folder, no more, and link the static library, so that an installed program runs from
# anywhere.
#
# Sets weft_tools and weft_examples, the targets made.

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
set(weft_examples "")
file(GLOB weft_example_sources CONFIGURE_DEPENDS examples/*.c)
foreach(source ${weft_example_sources})
    get_filename_component(name "${source}" NAME_WE)
    add_executable(example-${name} "${source}")
    set_target_properties(example-${name} PROPERTIES
        OUTPUT_NAME ${name}
        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/examples"
    )
    target_link_libraries(example-${name} PRIVATE weft_static)
    list(APPEND weft_examples example-${name})
endforeach()
