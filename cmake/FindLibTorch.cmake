# Finds the LibTorch that scripts/install-deps.sh unpacked from PyPI's wheel and defines LibTorch::torch
# (torch_cpu and c10 only). The wheel's own TorchConfig.cmake insists on a CUDA toolkit, so it is not used.
set(LONGSTRIDE_TORCH_VERSION 2.15.0)
if(DEFINED ENV{LONGSTRIDE_CACHE})
  set(_cache "$ENV{LONGSTRIDE_CACHE}")
else()
  set(_cache "$ENV{HOME}/.cache/longstride")
endif()
set(LIBTORCH_ROOT "${_cache}/libtorch-${LONGSTRIDE_TORCH_VERSION}/torch" CACHE PATH "LibTorch to build with")

find_path(LibTorch_INCLUDE_DIR torch/csrc/api/include/torch/torch.h
          PATHS "${LIBTORCH_ROOT}/include" NO_DEFAULT_PATH)
find_library(LibTorch_cpu torch_cpu PATHS "${LIBTORCH_ROOT}/lib" NO_DEFAULT_PATH)
find_library(LibTorch_c10 c10 PATHS "${LIBTORCH_ROOT}/lib" NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_cpu LibTorch_c10 LibTorch_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run scripts/install-deps.sh, or set LIBTORCH_ROOT, or build with -DLONGSTRIDE_RUNTIME=OFF")

if(LibTorch_FOUND AND NOT TARGET LibTorch::torch)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION "${LibTorch_c10}")
  add_library(LibTorch::torch SHARED IMPORTED)
  set_target_properties(LibTorch::torch PROPERTIES
    IMPORTED_LOCATION "${LibTorch_cpu}"
    INTERFACE_INCLUDE_DIRECTORIES
      "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES LibTorch::c10)
endif()
