#!/bin/sh
# Becomes the load with the first client that can run on this machine.
for client in @CLIENTS@; do
  load=$(dirname "$0")/load-$client@WITH@
  if refused=$("$load" --probe 2>&1); then exec "$load" "$@"; fi
done
echo "$refused" >&2
exit 77
