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

# A call that is newer than some kernels: had, refused by which errno, or ended
# by a signal. Whether one can do without, the servers below tell.
call() {  # name needed-for
  answer=$(printf '#include <sys/syscall.h>\nSYS_%s\n' "$1" |
    $compiler -E -x c++ - 2>/dev/null | tail -n 1)
  case $answer in
    '' | *[!0-9]*) row no "$1" "$2; the C library does not know it" ; return ;;
  esac
  # Without arguments that mean anything: EINVAL, EFAULT and EBADF are answers
  # of the call itself.
  said=$(python3 -c 'import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(int(sys.argv[1]), -1, 0, 0, 0, 0, 0)
code = ctypes.get_errno()
refused = code in (1, 13, 38)
print(os.strerror(code) if refused else "")' "$answer" 2>/dev/null)
  code=$?
  if [ "$code" -gt 128 ]; then
    row no "$1" "$2; who asks is ended by signal $((code - 128))," \
      "as a filter (seccomp) does"
  elif [ "$code" -ne 0 ]; then
    row "" "$1" "$2; not tried: python3 is missing"
  elif [ -n "$said" ]; then
    row no "$1" "$2; refused: $said"
  else
    row yes "$1" "$2"
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
row "" fs.aio-max-nr "$(cat /proc/sys/fs/aio-nr 2>/dev/null) of" \
  "$(cat /proc/sys/fs/aio-max-nr 2>/dev/null) slots of AIO are taken"
row "" "open files" "soft limit $(ulimit -Sn), hard limit $(ulimit -Hn)"
row "" "locked memory" "soft limit $(ulimit -Sl), hard limit $(ulimit -Hl)" \
  "KiB, of all processes of a user together: rings"
call epoll_pwait2 "clients of epoll"
for name in io_uring_setup io_uring_register io_uring_enter; do
  call "$name" "model iouring"
done
for name in io_setup io_submit io_getevents io_cancel; do
  call "$name" "model aio, variant libaio"
done

echo "== building and running"
tool "${compiler%% *}" g++ "the compiler"
header libcli11-dev CLI/CLI.hpp "all programs"
header libssl-dev openssl/evp.h "all programs"
header liburing-dev liburing.h "model iouring"
header libaio-dev libaio.h "model aio, variant libaio"

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
