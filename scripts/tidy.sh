#!/usr/bin/env bash
# clang-tidy over all of native/, with the checks of .clang-tidy: the C++ files with the headers beside
# them, and include/interproc.h and the bench's programs that include it as what they are, C11.
# Configures CMake in build-tidy/ for the flags and the includes. Arguments: C++ files, instead of all.
#
# Version 14: another one finds other things. CLANG_TIDY in the environment names another one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tidy=${CLANG_TIDY:-clang-tidy-14}
if ! command -v "$tidy" >/dev/null; then
  . scripts/debian.sh
  debian_packages clang-tidy-14
fi

headers=$(node scripts/with-node-headers.js cmake-js --log-level error print-cmakejs-include)
cmake -S . -B build-tidy -DCMAKE_JS_INC="$headers" >/dev/null

cpp=("$@")
c=()
if [ $# -eq 0 ]; then
  # The addon's first, as they take longest.
  mapfile -t cpp < <(node -p "const {node, os} = require('./native/sources.json'); [...node, ...os].join('\n')")
  c=(native/include/interproc.h bench/floor/*.c)
fi

# look FILE...: as C++; look_at_c FILE...: as C
look() { "$TIDY" --quiet -p build-tidy --header-filter='/native/(os|node)/' "$@"; }
look_at_c() {
  "$TIDY" --quiet --header-filter='/(native/include|bench/floor)/' "$@" -- -x c -std=c11 -D_GNU_SOURCE -Inative/include
}
export TIDY=$tidy
export -f look look_at_c

# Each process says how many warnings it has not shown, those of other people's headers; 2>&1 keeps what
# it says of an error together.
failed=0
printf 'look %s\n' "${cpp[@]}" | { [ ${#c[@]} -eq 0 ] || printf 'look_at_c %s\n' "${c[@]}"; cat; } |
  xargs -P "$(nproc)" -L 1 bash -c '"$0" "$1" 2>&1 | { grep -v "^[0-9]* warnings\? generated\.$" || true; }; exit "${PIPESTATUS[0]}"' || failed=1

if [ "$failed" -ne 0 ]; then
  echo "clang-tidy: see above" >&2
  exit 1
fi
echo "clang-tidy: nothing to say of $((${#cpp[@]} + ${#c[@]})) files"
