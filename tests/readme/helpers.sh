# What a reader does without being told (readme_test.cpp).

# Types more slowly than a server starts: somebody listens at the port by now.
wait_for_port() {
  name=$(printf '0100007F:%04X 00000000:0000 0A' "$1")
  for i in $(seq 600); do
    grep -q "$name" /proc/net/tcp && return
    sleep 0.05
  done
  echo "nobody listens at port $1" >&2
  return 1
}

# Sees whether what was started has ended; the next block wants its port.
end_of_block() {
  for i in $(seq 200); do
    if [ -z "$(jobs -r)" ]; then
      wait || true
      jobs >/dev/null
      return
    fi
    sleep 0.05
  done
  jobs -r >&2
  echo "nobody has been told to stop this" >&2
  return 1
}
