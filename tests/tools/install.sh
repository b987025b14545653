#!/bin/sh
# Installs Debian packages, or says in one line what to type. It never fails:
# whether something indispensable is missing, the Makefile finds out.
[ $# -eq 0 ] && exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root='sudo -n'
log=$(mktemp)
trap 'rm -f "$log"' EXIT

apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
    -o Acquire::Retries=1 -o Acquire::http::Timeout=15 "$@" >>"$log" 2>&1
}
install() { apt install --no-install-recommends "$@"; }

# A package that this Debian does not have must not cost us the others.
each() {
  failed=
  for package in "$@"; do
    install "$package" || failed="$failed $package"
  done
  [ -z "$failed" ]
}

if command -v apt-get >/dev/null && $as_root true 2>/dev/null; then
  echo "installing: $*"
  install "$@" && exit 0
  apt update
  install "$@" && exit 0
  [ $# -gt 1 ] && each "$@" && exit 0
fi
set -- ${failed:-$*}
echo "missing: $*; type: sudo apt-get install -y $*" >&2
