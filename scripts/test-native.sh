#!/usr/bin/env bash
# Builds native/os and its C++ tests with sanitizers and runs them: AddressSanitizer (with LeakSanitizer)
# and UndefinedBehaviorSanitizer in build-sanitized/, or ThreadSanitizer, if INTERPROC_SANITIZE=thread, in
# build-tsan/. Arguments go to ctest: npm run test:native -- -R truncate
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/debian.sh

sanitize=${INTERPROC_SANITIZE:-address,undefined}
build=build-sanitized
way=()

# runs_with_thread_sanitizer [WAY...]: whether a program with it runs in this way.
runs_with_thread_sanitizer() {
  local program result=0
  program=$(mktemp)
  printf 'int main() {}' | "${CXX:-g++}" -fsanitize=thread -x c++ - -o "$program" && "$@" "$program" || result=1
  rm -f "$program"
  return $result
}

if [ "$sanitize" = thread ]; then
  build=build-tsan
  # It wants its addresses where kernels that randomize much of them leave no room.
  if ! runs_with_thread_sanitizer 2>/dev/null; then
    way=(setarch -R)
    if ! runs_with_thread_sanitizer "${way[@]}"; then
      echo 'programs with ThreadSanitizer do not run here' >&2
      exit 1
    fi
  fi
fi

has_doctest() { printf '#include <doctest/doctest.h>\n' | "${CXX:-g++}" -x c++ -fsyntax-only - 2>/dev/null; }

# doctest >= 2.4 may also have come by hand: <doctest/doctest.h> and doctestConfig.cmake.
has_doctest || debian_packages doctest-dev

cmake -S . -B $build -DINTERPROC_TESTS=ON -DINTERPROC_SANITIZE="$sanitize"
# The build runs the tests once, to list them.
"${way[@]}" cmake --build $build --parallel "$(nproc)"
cd $build
"${way[@]}" ctest --output-on-failure --no-tests=error --parallel "$(nproc)" "$@"
