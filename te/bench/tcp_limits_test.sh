#!/bin/bash
# The programs that say what plain TCP can do: they run, and print JSON.
set -euo pipefail

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

readonly bin=te/bench

for streams in 1 3; do
  output="$("${bin}/tcp_pump" --streams="${streams}" --write_size=128K --duration=0.1)"
  [[ "${output}" == *'"write_size": 131072'* ]] || fail "another write size: ${output}"
  [[ "${output}" =~ '"bytes": '[1-9] ]] || fail "no bytes: ${output}"
done

for spin in 0 50; do
  output="$("${bin}/tcp_ping_pong" --request_size=64 --reply_size=4160 \
    --spin_us="${spin}" --duration=0.1)"
  [[ "${output}" == *'"request_size": 64, "reply_size": 4160'* ]] || fail "other sizes: ${output}"
  [[ "${output}" =~ '"round_trips": '[1-9] ]] || fail "no round trips: ${output}"
done

for command in "tcp_pump --streams=0" "tcp_pump --no_such_flag" "tcp_ping_pong --reply_size=0"; do
  status=0
  # shellcheck disable=SC2086 # a program and its flag
  output="$("${bin}"/${command} 2>&1)" || status=$?
  [[ "${status}" == 2 ]] || fail "${command}: exit status ${status}"
  [[ "$(wc -l <<< "${output}")" == 1 ]] || fail "${command}: ${output}"
done
