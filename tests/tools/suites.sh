#!/bin/sh
# Runs test suites and adds up what they came to:
#   suites.sh build/release protocol dht model-epoll-level ...
# Most tests wait most of the time. So SUITES_AT_ONCE= run at once, those of
# SPLIT_SUITES in parts, but alone in the end what others must not disturb:
# their LONE_TESTS (a filter of gtest's), and LONE_SUITES. What one prints is shown
# as a whole when it has ended, or while it runs if they run one after the other.
# The last line is "N passed, N failed, N skipped"; the exit code says whether
# nothing failed. A suite that dies, or reports nothing, is one failure more.
# With SERVER=, a program of somebody's own, each test is shown when it has ended,
# and in the end how many were passed of each topic and of each level.
at_once=${SUITES_AT_ONCE:-$((2 * $(nproc)))}
parts=4  # of a suite that is split; 1 if GTEST_FILTER= chooses tests

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

# A log without what nobody needs to see.
gist() {
  sed -u -e '/^== end of suite$/Q' -e '/^\[ RUN  /d' -e '/^\[-----/d' \
    -e '/^\[=====/d' -e '/^Running main/d' -e '/^Note: /d' -e '/^$/d'
}

# Shows a log while it is written, up to the end of the suite: not to the end of
# the file, which a process that a test has left behind could keep from coming.
follow() {
  tail -n +1 -f -s 0.1 --pid=$$ "$1" 2>/dev/null | gist
}

# Passes on one test after the other, since several parts write at once. What is
# left is the summary of a part, or the last words of one that has died.
by_test() {
  block=
  while IFS= read -r line; do
    block="$block$line
"
    case $line in
    '[ '*' ms)')
      printf '%s' "$block"
      block=
      ;;
    esac
  done
  case $block in
  *'[  PASSED  ]'*) ;;
  *) printf '%s' "$block" ;;
  esac
}

# What of each topic and of each level was passed, by the parts' XML.
scores='
function finish(  topic) {
  if (!class) return
  topic = class
  sub(/^Servers./, "", topic)
  count("topic " topic)
  if (level) count("level " level)
  class = level = ""
  bad = skip = 0
}
function count(what) {
  if (!(what in all)) order[++n] = what
  all[what]++
  if (skip) skipped[what]++
  else if (!bad) passed[what]++
}
function value(name) {
  if (!match($0, " " name "=\"[^\"]*\"")) return ""
  return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 4)
}
function tell(what) {
  if (!(what in all)) return
  printf "%s: %d of %d", what, passed[what], all[what] - skipped[what]
  print skipped[what] ? " (" skipped[what] " skipped)" : ""
}
/<testcase / { finish(); class = value("classname") }
/<failure / { bad = 1 }
/<skipped / { skip = 1 }
/<property name="level"/ { level = value("value") }
/<\/testsuites>/ { finish() }
END {
  for (i = 1; i <= n; ++i) if (order[i] ~ /^topic/) tell(order[i])
  split("echo store limits ring", levels)
  for (i = 1; i <= 4; ++i) tell("level " levels[i])
}'

name_of() {
  case $2-$3 in
  0-*) echo "$1-alone" ;;
  1-1) echo "$1" ;;
  *) echo "$1-$2-of-$3" ;;
  esac
}

# One suite, or a part of it: its name, which part, of how many; part 0 has the
# LONE_TESTS, the others of several do not have them.
run() {
  suite=$1
  name=$(name_of "$@")
  if [ "$2" -eq 0 ]; then
    export GTEST_FILTER="$LONE_TESTS"
  elif [ "$3" -gt 1 ]; then
    export GTEST_FILTER="-$LONE_TESTS"
    export GTEST_SHARD_INDEX=$(($2 - 1)) GTEST_TOTAL_SHARDS="$3"
  fi
  began=$(date +%s)
  log=$results/$name.log
  : >"$log"
  if [ -n "$SERVER" ]; then
    follow "$log" | by_test &
  elif [ "$at_once" -eq 1 ]; then
    follow "$log" &
  fi
  timeout --foreground -k 10 "${SUITE_TIME:-1200}" "$build/tests/$suite" \
    --gtest_output="xml:$results/$name.xml" >>"$log" 2>&1
  code=$?
  printf '\n== end of suite\n' >>"$log"
  wait
  if [ -s "$results/$name.xml" ]; then
    awk "$numbers" "$results/$name.xml"
  else
    awk "$remains" "$log"
  fi >"$results/$name.sum"
  read -r passed failed skipped <"$results/$name.sum"
  # A leak is found after the last test has passed.
  [ "$code" -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
  # Of the levels that are asked of an own program a part may have no test, and
  # of the few that are alone the sample may have left none.
  [ "$((passed + failed + skipped))" -eq 0 ] && [ -z "$SERVER" ] &&
    { [ "$2" -ne 0 ] || [ "${SAMPLE:-0}" = 0 ]; } && failed=1
  {
    [ "$at_once" -eq 1 ] || [ -n "$SERVER" ] || gist <"$log"
    echo "== $name: $passed passed, $failed failed, $skipped skipped" \
      "($(($(date +%s) - began)) s, exit code $code)"
  } >"$results/$name.shown"
  [ -n "$SERVER" ] || flock "$results" cat "$results/$name.shown"
  echo "$passed $failed $skipped" >"$results/$name.numbers"
}

# The words of a list that are, or are not, in another.
both() {
  for word in $1; do
    for other in $2; do [ "$word" = "$other" ] && echo "$word"; done
  done
}
without() {
  for word in $1; do [ -n "$(both "$word" "$2")" ] || echo "$word"; done
}

# Lines "suite part parts" as run() takes them, each run by this script anew.
run_all() {
  xargs -r -P "$1" -L 1 "$0" --run "$build"
}

if [ "$1" = --run ]; then
  build=$2
  results=$build/results
  run "$3" "$4" "$5"
  exit 0
fi

build=$1
shift
results=$build/results
rm -rf "$results"
mkdir -p "$results"
if [ "$at_once" -eq 1 ] || [ -n "$GTEST_FILTER" ]; then parts=1; fi

# Who does not even start is told so once, and not by every test.
if [ -n "$SERVER" ]; then
  "$build/tests/$1" --try
  case $? in
  0) ;;
  77) echo "0 passed, 0 failed, 1 skipped" && exit 0 ;;
  *) echo "0 passed, 1 failed, 0 skipped" && exit 1 ;;
  esac
fi

{
  for suite in $(both "$*" "$SPLIT_SUITES"); do
    part=0
    while [ "$part" -lt "$parts" ]; do
      part=$((part + 1))
      echo "$suite $part $parts"
    done
  done
  for suite in $(without "$*" "$SPLIT_SUITES $LONE_SUITES"); do
    echo "$suite 1 1"
  done
} >"$results/together"
{
  for suite in $(both "$*" "$LONE_SUITES"); do echo "$suite 1 1"; done
  if [ "$parts" -gt 1 ] && [ -n "$LONE_TESTS" ]; then
    for suite in $(both "$*" "$SPLIT_SUITES"); do echo "$suite 0 1"; done
  fi
} >"$results/alone"
run_all "$at_once" <"$results/together"
run_all 1 <"$results/alone"

# Whoever did not come to its end has no numbers.
cat "$results/together" "$results/alone" | while read -r suite part parts; do
  name=$(name_of "$suite" "$part" "$parts")
  [ -s "$results/$name.numbers" ] || echo "0 1 0" >"$results/$name.numbers"
done

# A model that could not be built is skipped, with its reason.
for reason in $LEFT_OUT_REASONS; do
  echo "SKIP ${reason%%:*}: $(echo "${reason#*:}" | tr _ ' ') is missing"
  echo "0 0 1" >"$results/left-out-${reason%%:*}.numbers"
done
set -- "$results"/*.log
[ -e "$1" ] && grep -h '^\[  FAILED  \] .*ms)$' "$@"
[ -n "$SERVER" ] && cat "$results"/*.xml 2>/dev/null | awk "$scores"
cat "$results"/*.numbers 2>/dev/null | awk '
  { passed += $1; failed += $2; skipped += $3 }
  END {
    if (own && passed + failed + skipped == 0) {
      print "no test is left of GTEST_FILTER and LEVEL"
      failed = 1
    }
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0
  }' own="$SERVER"
