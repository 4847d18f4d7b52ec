# Language level, warnings, sanitizers and the build accelerators that are used when present.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# -O2 everywhere; numeric kernels ask for more themselves. Contraction into fused multiply-add would
# make results depend on the CPU, and ranks must agree bit for bit.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
add_compile_options(-Wall -Wextra -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-restrict)  # false positives on std::string in GCC 12 (PR 105329)
endif()
if(LONGSTRIDE_WERROR)
  add_compile_options(-Werror)
endif()

if(LONGSTRIDE_SANITIZE)
  add_compile_options(-fsanitize=${LONGSTRIDE_SANITIZE} -fno-omit-frame-pointer -g1)
  if(LONGSTRIDE_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  add_link_options(-fsanitize=${LONGSTRIDE_SANITIZE})
endif()

if(LONGSTRIDE_FUZZ)
  # The libraries report coverage too; each fuzzer brings the main loop.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

find_program(LONGSTRIDE_CCACHE ccache)
if(LONGSTRIDE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${LONGSTRIDE_CCACHE}")
endif()
find_program(LONGSTRIDE_MOLD mold)
if(LONGSTRIDE_MOLD AND NOT LONGSTRIDE_SANITIZE)
  add_link_options(-fuse-ld=mold)
endif()

# The installed tree is relocatable: programs find their libraries next to themselves.
include(GNUInstallDirs)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/longstride")
