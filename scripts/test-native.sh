#!/usr/bin/env bash
# Builds native/os and its C++ tests with AddressSanitizer and UndefinedBehaviorSanitizer, in
# build-sanitized/, and runs them. Arguments go to ctest: npm run test:native -- -R truncate
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

has_doctest() { printf '#include <doctest/doctest.h>\n' | "${CXX:-g++}" -x c++ -fsyntax-only - 2>/dev/null; }

if ! has_doctest; then
  echo 'doctest is missing: installing the Debian package doctest-dev'
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
  if ! "${as_root[@]}" apt-get install -y --no-install-recommends doctest-dev; then
    # A fresh machine may have no package lists yet.
    "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install -y --no-install-recommends doctest-dev ||
      {
        echo 'test:native needs the header library doctest, and apt-get could not install doctest-dev.' >&2
        echo 'Install doctest >= 2.4 by hand (it brings <doctest/doctest.h> and doctestConfig.cmake).' >&2
        exit 1
      }
  fi
fi

cmake -S . -B build-sanitized -DINTERPROC_TESTS=ON -DINTERPROC_SANITIZE="${INTERPROC_SANITIZE:-address,undefined}"
cmake --build build-sanitized --parallel "$(nproc)"
cd build-sanitized
ctest --output-on-failure --no-tests=error --parallel "$(nproc)" "$@"
