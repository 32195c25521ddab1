# SPDX-License-Identifier: Apache-2.0
#
# What `cmake --install` lays down: headers, both libraries, weft.pc and the CMake package.  No file
# of it holds the prefix, so an installed tree may be moved.

include(CMakePackageConfigHelpers)

set(weft_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weft")

install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
    FILES_MATCHING PATTERN "*.h")
install(TARGETS weft weft_static EXPORT weft-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev
)
install(EXPORT weft-targets NAMESPACE weft:: DESTINATION ${weft_package_dir} COMPONENT dev)

# weft.pc finds its prefix from where it lies; only an absolute library or include folder is
# written out as it is.
function(weft_pc_folder out folder)
    if(IS_ABSOLUTE "${folder}")
        set(${out} "${folder}" PARENT_SCOPE)
    else()
        set(${out} "\${prefix}/${folder}" PARENT_SCOPE)
    endif()
endfunction()

weft_pc_folder(weft_pc_libdir "${CMAKE_INSTALL_LIBDIR}")
weft_pc_folder(weft_pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(weft_pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH weft_pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" weft_pc_up "${weft_pc_up}")
    set(weft_pc_prefix "\${pcfiledir}/${weft_pc_up}")
endif()
configure_file(cmake/weft.pc.in weft.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/weft.pc"
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

configure_package_config_file(cmake/weft-config.cmake.in weft-config.cmake
    INSTALL_DESTINATION ${weft_package_dir}
    NO_SET_AND_CHECK_MACRO
)
write_basic_package_version_file(weft-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    "${CMAKE_CURRENT_BINARY_DIR}/weft-config.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/weft-config-version.cmake"
    DESTINATION ${weft_package_dir} COMPONENT dev
)

# gdb's commands, to source; and where gdb looks for what belongs to a library, by its path.  That
# path is known when it is installed; who moves the tree afterwards sources the first one.
set(weft_gdb_script "${CMAKE_CURRENT_SOURCE_DIR}/tools/gdb/weft-gdb.py")
install(FILES "${weft_gdb_script}" DESTINATION ${CMAKE_INSTALL_DATADIR}/weft COMPONENT dev)
install(CODE "
    get_filename_component(prefix \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
    get_filename_component(libdir \"${CMAKE_INSTALL_LIBDIR}\" ABSOLUTE BASE_DIR \"\${prefix}\")
    get_filename_component(datadir \"${CMAKE_INSTALL_DATADIR}\" ABSOLUTE BASE_DIR \"\${prefix}\")
    file(INSTALL \"${weft_gdb_script}\" DESTINATION \"\${datadir}/gdb/auto-load\${libdir}\"
        RENAME \"libweft.so.${PROJECT_VERSION}-gdb.py\")
    " COMPONENT dev)
