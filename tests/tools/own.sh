#!/bin/sh
# The whole path of somebody's own program: own.sh DIRECTORY PROGRAM, where the
# directory is the caller's (make -C has gone elsewhere). Nothing if there is no
# such program.
case $2 in
/*) path=$2 ;;
*) path=$1/$2 ;;
esac
[ -f "$path" ] && [ -x "$path" ] && printf '%s\n' "$path"
