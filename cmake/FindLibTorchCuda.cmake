# Defines LibTorch::cuda for -DLONGSTRIDE_CUDA=ON: the CUDA half of PyPI's torch and the CUDA, NCCL headers of
# the wheels beside it, as `scripts/install-deps.sh cuda` unpacks them. No toolkit, driver or GPU needed to
# build. LIBTORCH_ROOT must point at that torch, so that all of it is one version.
find_library(LibTorch_torch_cuda torch_cuda PATHS "${LIBTORCH_ROOT}/lib" NO_DEFAULT_PATH)
find_library(LibTorch_c10_cuda c10_cuda PATHS "${LIBTORCH_ROOT}/lib" NO_DEFAULT_PATH)
find_path(LibTorch_CUDA_INCLUDE_DIR cuda_runtime_api.h
          PATHS "${LIBTORCH_ROOT}/../nvidia/cu13/include" NO_DEFAULT_PATH)
find_path(LibTorch_NCCL_INCLUDE_DIR nccl.h PATHS "${LIBTORCH_ROOT}/../nvidia/nccl/include" NO_DEFAULT_PATH)
find_file(LibTorch_cudart libcudart.so.13 PATHS "${LIBTORCH_ROOT}/../nvidia/cu13/lib" NO_DEFAULT_PATH)
find_file(LibTorch_nccl libnccl.so.2 PATHS "${LIBTORCH_ROOT}/../nvidia/nccl/lib" NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorchCuda
  REQUIRED_VARS LibTorch_torch_cuda LibTorch_c10_cuda LibTorch_CUDA_INCLUDE_DIR
                LibTorch_NCCL_INCLUDE_DIR LibTorch_cudart LibTorch_nccl
  REASON_FAILURE_MESSAGE "run scripts/cuda-check.sh, which installs the wheels and sets LIBTORCH_ROOT")

if(LibTorchCuda_FOUND AND NOT TARGET LibTorch::cuda)
  add_library(LibTorch::c10_cuda SHARED IMPORTED GLOBAL)
  set_target_properties(LibTorch::c10_cuda PROPERTIES IMPORTED_LOCATION "${LibTorch_c10_cuda}")
  add_library(LibTorch::cudart SHARED IMPORTED GLOBAL)
  set_target_properties(LibTorch::cudart PROPERTIES IMPORTED_LOCATION "${LibTorch_cudart}")
  add_library(LibTorch::nccl SHARED IMPORTED GLOBAL)
  set_target_properties(LibTorch::nccl PROPERTIES IMPORTED_LOCATION "${LibTorch_nccl}")
  add_library(LibTorch::cuda SHARED IMPORTED GLOBAL)
  set_target_properties(LibTorch::cuda PROPERTIES
    IMPORTED_LOCATION "${LibTorch_torch_cuda}"
    INTERFACE_INCLUDE_DIRECTORIES "${LibTorch_CUDA_INCLUDE_DIR};${LibTorch_NCCL_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "LibTorch::torch;LibTorch::c10_cuda;LibTorch::cudart;LibTorch::nccl")
endif()
