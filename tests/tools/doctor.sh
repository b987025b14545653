#!/bin/sh
# Says what works on this machine, what does not, why, and the remedy:
#   doctor.sh build/release/bin g++ epoll-level iouring:liburing-dev ...
# A server says best itself whether its model can run here: it is started, and
# has either printed its ready line or ended with exit code 77 and the reason.
directory=$1
compiler=$2
shift 2

row() {  # yes|no name words...
  mark=$1 name=$2
  shift 2
  printf '%-4s %-24s %s\n' "$mark" "$name" "$*"
}

header() {  # package header needed-for
  if printf '#include <%s>\n' "$2" |
    $compiler -E -x c++ - >/dev/null 2>&1; then
    row yes "$1" "$3"
  else
    row no "$1" "$3; remedy: sudo apt-get install -y $1"
  fi
}

tool() {  # program package needed-for
  if path=$(command -v "$1"); then
    row yes "$1" "$3; $path"
  else
    row no "$1" "$3; remedy: sudo apt-get install -y $2"
  fi
}

server() {  # name, or model:package if it was left out
  case $1 in
    *:*)
      row no "${1%%:*}" "${1#*:} is missing;" \
        "remedy: sudo apt-get install -y ${1#*:}"
      return
      ;;
  esac
  program=$directory/$1-server
  if [ ! -x "$program" ]; then
    row no "$1" "not built; remedy: make"
    return
  fi
  output=$(mktemp)
  "$program" --port 0 >"$output" 2>"$output.errors" &
  pid=$!
  tries=0
  while [ ! -s "$output" ] && kill -0 "$pid" 2>/dev/null &&
    [ "$tries" -lt 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
  done
  kill "$pid" 2>/dev/null
  wait "$pid"
  code=$?
  if [ -s "$output" ]; then
    row yes "$1" "$(cat "$output")"
  else
    row no "$1" "exit code $code: $(head -n 1 "$output.errors")"
  fi
  rm -f "$output" "$output.errors"
}

echo "== kernel $(uname -r), $(nproc) processors"
switch=/proc/sys/kernel/io_uring_disabled
[ -r "$switch" ] && row "" kernel.io_uring_disabled \
  "$(cat "$switch") (0: anybody may use io_uring, 2: nobody)"
row "" "open files" "soft limit $(ulimit -Sn), hard limit $(ulimit -Hn)"

echo "== building and running"
tool "${compiler%% *}" g++ "the compiler"
header libcli11-dev CLI/CLI.hpp "all programs"
header libssl-dev openssl/evp.h "all programs"
header liburing-dev liburing.h "model iouring"
header libaio-dev libaio.h "no model yet"

echo "== testing"
header libgtest-dev gtest/gtest.h "all tests"
tool redis-cli redis-tools "tests with stock clients, make bench"
tool strace strace "tests with injected faults"
tool valgrind valgrind "instructions per request"
tool gcovr gcovr "make coverage"

echo "== measuring"
tool python3 python3 "make bench, tests of the measuring"
header libuv1-dev uv.h "the peer libuv-echo"
header libevent-dev event2/bufferevent.h "the peer libevent-echo"
header libasio-dev asio.hpp "the peer asio-echo"
tool mpicxx libopenmpi-dev "load-mpi: loads on several hosts"
tool mpirun openmpi-bin "bench/compare --hosts"
tool gnuplot gnuplot-nox "figures beside a report"
tool chromium chromium "tests of the report, bench/report-opening"
tool node nodejs "the same"
tool npm npm "the same"

echo "== developing"
tool clang++-19 clang-19 "the second compiler, make fuzz"
tool clang-tidy-19 clang-tidy-19 "make tidy"
tool clang-format-19 clang-format-19 "make format"

echo "== servers"
for name in "$@"; do server "$name"; done
