#!/bin/sh
# A server that spends DEAR times (1.5) the CPU time of @SERVER@ on an answer.
here=$(cd "$(dirname "$0")" && pwd)
export LD_PRELOAD="$here/../lib/dear.so"
exec "$here/@SERVER@-server" "$@"
