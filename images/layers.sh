#!/usr/bin/env bash
# layers.sh PREFIX OUT PROGRAM...: the layers of an image that holds PROGRAMs and nothing else, as directories
# OUT/base, OUT/libraries and OUT/programs. PREFIX is an installed tree (`cmake --install`). Libraries are those
# that the dynamic linker names, stripped; there is no shell and no package manager in the image. The
# Dockerfile and build.sh both call this, so that their images hold the same files.
set -euo pipefail
prefix=$(realpath "$1") out=$2
shift 2
programs=("$@")
rm -rf "$out"
mkdir -p "$out"/{base,libraries,programs}
out=$(realpath "$out")
system=/usr/lib/$(gcc -print-multiarch)

# The user that everything runs as, and how names are resolved without Debian's defaults.
fill_base() {
  mkdir -p "$1"/etc
  mkdir -m 1777 "$1"/tmp
  printf 'root:x:0:0::/:\nlongstride:x:65532:65532::/tmp:\n' >"$1/etc/passwd"
  printf 'root:x:0:\nlongstride:x:65532:\n' >"$1/etc/group"
  echo 'hosts: files dns' >"$1/etc/nsswitch.conf"
}

# libraries_of FILE...: the path of every shared library that running them loads
libraries_of() { ldd "$@" | grep -oE '/[^ ]+\.so[^ ]*' | sort -u; }

# add_notices FILE: the licence terms of the Debian package that FILE came from
add_notices() {
  local package
  package=$(dpkg-query --search "*/$(basename "$(realpath "$1")")" | head -n 1 | cut -d: -f1)
  install -D -m 644 "/usr/share/doc/$package/copyright" "$out/libraries/usr/share/doc/$package/copyright"
}

# Ours keep their place under /usr/local, where the program's RUNPATH finds them.
add_library() {
  local target
  case $1 in
    "$prefix"/*) target=/usr/local/${1#"$prefix"/} ;;
    /lib64/ld-*) target=$1 ;;
    *) target=$system/$(basename "$1") ;;
  esac
  install -D -m 755 "$1" "$out/libraries$target"
  strip --strip-unneeded "$out/libraries$target"
  case $1 in "$prefix"/*) ;; *) add_notices "$1" ;; esac
}

fill_base "$out/base"
for program in "${programs[@]}"; do
  install -D --strip -m 755 "$prefix/bin/$program" "$out/programs/usr/local/bin/$program"
done
while read -r library; do add_library "$(realpath --no-symlinks "$library")"; done < <(
  libraries_of "${programs[@]/#/$prefix/bin/}")
for notices in "$prefix"/share/doc/longstride/*; do
  [ -e "$notices" ] && [ -d "$out/libraries/usr/local/lib/longstride" ] &&
    mkdir -p "$out/libraries/usr/share/doc" && cp -r "$notices" "$out/libraries/usr/share/doc/"
done
install -D -m 644 "$(dirname "$0")/../LICENSE" "$out/programs/usr/share/doc/longstride/LICENSE"
