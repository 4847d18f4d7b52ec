#!/usr/bin/env bash
# scripts/tidy.sh [FILE...]: clang-tidy, with the checks of .clang-tidy, over core and controller as the release build
# compiles them: all of it, or the files named. A file that was clean is checked again once it changes, or a header of ours
# that it includes, or the checks, or how it is compiled. Wants the build up to date (`make tidy`).
set -euo pipefail
cd "$(dirname "$0")/.."
readonly BUILD=build/release
readonly CLEAN=${LONGSTRIDE_CACHE:-$HOME/.cache/longstride}/tidy

# ours OBJECT: the files of this repository that it was compiled from, as ninja knows them from the compiler
ours() {
  ninja -C "$BUILD" -t deps "$1" | sed -n "s#^    \(\.\./\.\./\|$PWD/\)##p" | grep -v '^build/'
}

check() {
  local file=$1 command object files key output
  command=$(grep -F -- " -c $PWD/$file\"" "$BUILD/compile_commands.json") || {
    echo "tidy: $file is not part of $BUILD" >&2
    return 1
  }
  object=${command##* -o }
  object=${object%% *}
  files=$(ours "$object") || {
    echo "tidy: $file has not been compiled yet" >&2
    return 1
  }
  key=$( (clang-tidy-14 --version; echo "${command//$PWD/}"; xargs sha256sum .clang-tidy <<<"$files") |
    sha256sum | cut -d' ' -f1)
  [ ! -e "$CLEAN/$key" ] || return 0
  echo "tidy: $file"
  # GCC's own options, and -Werror, are not its business.
  output=$(clang-tidy-14 -p "$BUILD" --quiet --warnings-as-errors='*' \
    --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-error "$file" 2>&1) || {
    echo "$output"
    return 1
  }
  touch "$CLEAN/$key"
}

if [ "${1-}" = --one ]; then # only this script calls it
  check "$2"
  exit
fi
mkdir -p "$CLEAN"
[ $# -gt 0 ] || mapfile -t files < <(git ls-files 'core/*.cpp' 'controller/*.cpp')
[ $# -eq 0 ] || files=("$@")
if ! printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" "$0" --one; then
  echo "tidy: mend what is named above" >&2
  exit 1
fi
echo "tidy: ${#files[@]} files are clean"
