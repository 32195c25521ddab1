# SPDX-License-Identifier: Apache-2.0
#
# WEFT_VERSION and WEFT_SOVERSION, read from the macros of include/weft/runtime.h: the one place
# where the version is written.

set(weft_version_header "${CMAKE_CURRENT_SOURCE_DIR}/include/weft/runtime.h")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${weft_version_header}")
file(STRINGS "${weft_version_header}" weft_version_lines REGEX "^#define WEFT_VERSION_[A-Z]+ ")

foreach(part MAJOR MINOR PATCH)
    if(NOT "${weft_version_lines}" MATCHES "WEFT_VERSION_${part} +([0-9]+)")
        message(FATAL_ERROR "${weft_version_header} defines no WEFT_VERSION_${part}")
    endif()
    set(weft_${part} "${CMAKE_MATCH_1}")
endforeach()

set(WEFT_VERSION "${weft_MAJOR}.${weft_MINOR}.${weft_PATCH}")
# Before 1.0 each minor version may change the ABI.
if(weft_MAJOR EQUAL 0)
    set(WEFT_SOVERSION "0.${weft_MINOR}")
else()
    set(WEFT_SOVERSION "${weft_MAJOR}")
endif()
