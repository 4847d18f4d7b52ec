#!/usr/bin/env bash
# build.sh [IMAGE...]: builds image archives without a container engine, from an installed release build, into
# build/images: controller, worker, worker-fashion-mnist (all, if none is named). See README.md.
set -euo pipefail
shopt -s inherit_errexit # a layer that cannot be made ends it
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

worker=() # its layers, the same in both images
for image in "${images[@]}"; do
  case $image in
    controller)
      # kubectl-longstride submits the job of `helm test`.
      layers=($(program_layers controller longstride-controller kubectl-longstride))
      archive controller longstride-controller "${layers[@]}" ;;
    worker | worker-fashion-mnist)
      [ ${#worker[@]} -gt 0 ] || worker=($(program_layers worker longstride-worker))
      layers=("${worker[@]}")
      # The data lies below the program, which changes more often, and above what both images share.
      [ "$image" = worker ] || layers=("${worker[@]:0:2}" "$(data_layer)" "${worker[@]:2}")
      archive "$image" longstride-worker "${layers[@]}" ;;
    *) echo "build: unknown image '$image' (known: controller, worker, worker-fashion-mnist)" >&2; exit 2 ;;
  esac
done
