# longstride_component(core/spec [NAME spec] SOURCES a.cpp b.cpp [DEPENDS longstride::base ...])
#
# One library per folder: target longstride_<folder>, alias longstride::<folder>, or what NAME says
# where two folders have the same name. Its headers are included by their path from the repository's
# root: #include "core/spec/training_job.h".
function(longstride_component path)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;DEPENDS" ${ARGN})
  get_filename_component(name "${path}" NAME)
  if(ARG_NAME)
    set(name "${ARG_NAME}")
  endif()
  if(ARG_SOURCES)
    add_library(longstride_${name} STATIC ${ARG_SOURCES})
    target_include_directories(longstride_${name} PUBLIC "${PROJECT_SOURCE_DIR}")
    target_link_libraries(longstride_${name} PUBLIC ${ARG_DEPENDS})
  else()
    add_library(longstride_${name} INTERFACE)
    target_include_directories(longstride_${name} INTERFACE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(longstride_${name} INTERFACE ${ARG_DEPENDS})
  endif()
  add_library(longstride::${name} ALIAS longstride_${name})
endfunction()

# longstride_test(core_spec SOURCES a_test.cpp ... DEPENDS longstride::spec
#                 [LABELS integration] [TIMEOUT 120] [WHOLE])
#
# One test program; each of its GoogleTest cases is one ctest entry, or the whole program is one
# entry when WHOLE is given (for programs whose start is costly, as with LibTorch).
function(longstride_test name)
  cmake_parse_arguments(ARG "WHOLE" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  # Headers take most of a test's compile time, and its own code needs no speed.
  set_target_properties(${name}_test PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 5)
  target_compile_options(${name}_test PRIVATE $<$<CONFIG:Release>:-O1>)
  if(LONGSTRIDE_SANITIZE MATCHES "thread")
    target_sources(${name}_test PRIVATE "${PROJECT_SOURCE_DIR}/tests/sanitizers/shared_count.cpp")
  endif()
  target_link_libraries(${name}_test PRIVATE ${ARG_DEPENDS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name}_test PRIVATE
    LONGSTRIDE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" LONGSTRIDE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  if(ARG_WHOLE)
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  else()
    include(GoogleTest)
    gtest_discover_tests(${name}_test TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60
      PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  endif()
endfunction()

# longstride_fuzzer(yaml SOURCES yaml_fuzzer.cpp DEPENDS longstride::spec)
function(longstride_fuzzer name)
  if(NOT LONGSTRIDE_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name}_fuzzer ${ARG_SOURCES})
  target_compile_options(${name}_fuzzer PRIVATE -fsanitize=fuzzer)
  target_link_options(${name}_fuzzer PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name}_fuzzer PRIVATE ${ARG_DEPENDS})
endfunction()
