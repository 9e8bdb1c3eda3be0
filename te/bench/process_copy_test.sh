#!/bin/bash
# The program that says what memory of two processes can be moved without te:
# it runs, and prints JSON.
set -euo pipefail

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

readonly bin=te/bench/process_copy

for way in cma memcpy; do
  for operation in read write; do
    for threads in 1 2; do
      output="$("${bin}" --way="${way}" --operation="${operation}" --threads="${threads}" \
        --block_size=64K --buffer_size=200K --duration=0.1)"
      [[ "${output}" == *"\"way\": \"${way}\", \"operation\": \"${operation}\""* ]] ||
        fail "another way: ${output}"
      [[ "${output}" == *"\"block_size\": 65536, \"threads\": ${threads}"* ]] ||
        fail "other sizes: ${output}"
      [[ "${output}" =~ '"gb_per_s": '[0-9]*[1-9] ]] || fail "nothing was moved: ${output}"
    done
  done
done

for flags in --way=magic --threads=0 --operation=mix --block_size=0 \
  "--threads=2 --buffer_size=64K --block_size=64K"; do
  status=0
  # shellcheck disable=SC2086 # several flags
  output="$("${bin}" ${flags} 2>&1)" || status=$?
  [[ "${status}" == 2 ]] || fail "${flags}: exit status ${status}"
  [[ "$(wc -l <<< "${output}")" == 1 ]] || fail "${flags}: ${output}"
done
