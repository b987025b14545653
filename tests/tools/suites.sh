#!/bin/sh
# Runs test suites one after the other and adds up what they came to:
#   suites.sh build/release protocol dht model-epoll-level ...
# The last line is "N passed, N failed, N skipped"; the exit code says whether
# nothing failed. A suite that dies, or reports nothing, is one failure more.
build=$1
shift
results=$build/results
rm -rf "$results"
mkdir -p "$results"

# gtest's XML has one <testsuite> line per group with its numbers.
numbers='
function number(name) {
  if (!match($0, " " name "=\"[0-9]+\"")) return 0
  return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 4)
}
/<testsuite / {
  failed += number("failures") + number("errors")
  skipped += number("skipped") + number("disabled")
  all += number("tests")
}
END { print all - failed - skipped, failed + 0, skipped + 0 }'

# What was printed before a suite died.
remains='
/^\[       OK \] / { ++passed }
/^\[  SKIPPED \] .*ms\)$/ { ++skipped }
/^\[  FAILED  \] .*ms\)$/ { ++failed }
END { print passed + 0, failed + 1, skipped + 0 }'

# Shows a log while it is written, without what nobody needs to see, up to the
# end of the suite: not to the end of the file, which a process that a test has
# left behind could keep from coming.
show() {
  tail -n +1 -f -s 0.1 --pid=$$ "$1" 2>/dev/null | sed -u \
    -e '/^== end of suite$/Q' -e '/^\[ RUN  /d' -e '/^\[-----/d' \
    -e '/^\[=====/d' -e '/^Running main/d' -e '/^$/d'
}

run() {
  began=$(date +%s)
  log=$results/$1.log
  : >"$log"
  show "$log" &
  timeout --foreground -k 10 "${SUITE_TIME:-1200}" "$build/tests/$1" \
    --gtest_output="xml:$results/$1.xml" >>"$log" 2>&1
  code=$?
  printf '\n== end of suite\n' >>"$log"
  wait
  if [ -s "$results/$1.xml" ]; then
    awk "$numbers" "$results/$1.xml"
  else
    awk "$remains" "$results/$1.log"
  fi >"$results/$1.numbers"
  read -r passed failed skipped <"$results/$1.numbers"
  # A leak is found after the last test has passed.
  [ "$code" -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
  [ "$((passed + failed + skipped))" -eq 0 ] && failed=1
  echo "$passed $failed $skipped" >"$results/$1.numbers"
  echo "== $1: $passed passed, $failed failed, $skipped skipped" \
    "($(($(date +%s) - began)) s, exit code $code)"
}

for suite in "$@"; do run "$suite"; done

# A model that could not be built is skipped, with its reason.
for reason in $LEFT_OUT_REASONS; do
  echo "SKIP ${reason%%:*}: ${reason#*:} is missing"
  echo "0 0 1" >"$results/left-out-${reason%%:*}.numbers"
done
set -- "$results"/*.log
[ -e "$1" ] && grep -h '^\[  FAILED  \] .*ms)$' "$@"
cat "$results"/*.numbers 2>/dev/null | awk '
  { passed += $1; failed += $2; skipped += $3 }
  END {
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0
  }'
