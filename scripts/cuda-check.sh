#!/usr/bin/env bash
# Compiles and links the CUDA and NCCL paths against PyPI's wheels, and runs what of them needs no GPU.
# `make cuda-check` calls it; the first run downloads about 5 GB.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-deps.sh cuda
torch="${LONGSTRIDE_CACHE:-$HOME/.cache/longstride}/cuda-torch-2.15.0/torch"
cmake -S . -B build/cuda -G Ninja -DCMAKE_BUILD_TYPE=Release -DLONGSTRIDE_CUDA=ON -DLIBTORCH_ROOT="$torch"
cmake --build build/cuda --target runtime_nccl_test longstride_worker runtime_device_test
build/cuda/bin/runtime_nccl_test
# Loads the CUDA half and says that there is no driver, or finds a device.
build/cuda/bin/runtime_device_test
