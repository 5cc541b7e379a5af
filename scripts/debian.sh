#!/usr/bin/env bash
# Debian packages that tests and tools need: debian_packages NAME... installs those that are missing, and
# fails where it can't. To be sourced by shell scripts; others run it: bash scripts/debian.sh NAME...

# has_debian_package NAME: true if it is installed.
has_debian_package() { [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

debian_packages() {
  local name missing=() as_root=()
  for name in "$@"; do
    has_debian_package "$name" || missing+=("$name")
  done
  if [ ${#missing[@]} -eq 0 ]; then return 0; fi
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
  echo "installing the Debian packages ${missing[*]}"
  # Another script may be installing something just now: wait for its lock.
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends)
  "${as_root[@]}" "${install[@]}" "${missing[@]}" ||
    # A fresh machine may have no package lists yet.
    { "${as_root[@]}" apt-get update && "${as_root[@]}" "${install[@]}" "${missing[@]}"; } ||
    {
      echo "apt-get could not install ${missing[*]}; this needs them, or the same from elsewhere" >&2
      return 1
    }
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  debian_packages "$@"
fi
