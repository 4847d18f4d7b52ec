#!/usr/bin/env bash
# build.sh [IMAGE...]: builds image archives without a container engine, from an installed release build, into
# build/images: controller, worker, worker-fashion-mnist (all, if none is named). See README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
images=("$@")
[ ${#images[@]} -gt 0 ] || images=(controller worker worker-fashion-mnist)
version=$(sed -n 's/^project(longstride VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
out=build/images
readonly CONTROLLER_MEGABYTES=80
prefix=$PWD/build/images/installed
rm -rf "$prefix"
mkdir -p "$out"
cmake --install build/release --prefix "$prefix" >/dev/null

# archive NAME PROGRAM LAYER...: fails if it grew beyond its limit
archive() {
  local name=$1 program=$2 bytes limit=0
  shift 2
  [ "$name" != controller ] || limit=$CONTROLLER_MEGABYTES
  python3 images/archive.py "$out/$name.tar" "longstride/$name:$version" "$@" \
    --user 65532:65532 --entrypoint "/usr/local/bin/$program"
  bytes=$(du --bytes --summarize --total "$@" | awk 'END { print $1 }')
  printf '%-40s %4d MB unpacked   %s\n' "longstride/$name:$version" $((bytes / 1000000)) "$out/$name.tar"
  ((limit == 0 || bytes <= limit * 1000000)) || { echo "build: $name is larger than $limit MB" >&2; return 1; }
}

# program_layers IMAGE PROGRAM...: prints the layers' directories
program_layers() {
  local root=$out/layers/$1
  images/layers.sh "$prefix" "$root" "${@:2}" >&2
  echo "$root/base" "$root/libraries" "$root/programs"
}

data_layer() {
  local root=$out/layers/fashion-mnist from=/usr/share/datasets/fashion-mnist
  rm -rf "$root"
  mkdir -p "$root$from" "$root/usr/share/doc/dataset-fashion-mnist"
  cp "$from"/* "$root$from/"
  cp /usr/share/doc/dataset-fashion-mnist/copyright "$root/usr/share/doc/dataset-fashion-mnist/"
  echo "$root"
}

for image in "${images[@]}"; do
  case $image in
    controller)
      # kubectl-longstride submits the job of `helm test`.
      layers=$(program_layers "$image" longstride-controller kubectl-longstride) program=longstride-controller ;;
    worker) layers=$(program_layers "$image" longstride-worker) program=longstride-worker ;;
    worker-fashion-mnist)
      # The data lies below the program, which changes more often.
      layers="$(data_layer) $(program_layers worker longstride-worker)" program=longstride-worker ;;
    *) echo "build: unknown image '$image' (known: controller, worker, worker-fashion-mnist)" >&2; exit 2 ;;
  esac
  # shellcheck disable=SC2086 # a list of words
  archive "$image" "$program" $layers
done
