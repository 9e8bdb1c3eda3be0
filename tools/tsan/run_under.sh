#!/bin/bash
# Starts a test under ThreadSanitizer, from the top of its runfiles.
set -euo pipefail
suppressions="${PWD}/tools/tsan/suppressions.txt"
if [[ ! -f "${suppressions}" ]]; then
  echo "tools/tsan/run_under.sh: no ${suppressions}: not in a test's runfiles?" >&2
  exit 1
fi
export TSAN_OPTIONS="suppressions=${suppressions} halt_on_error=1 second_deadlock_stack=1 ${TSAN_OPTIONS:-}"
# g++ 12's run time cannot work with addresses as random as new kernels make them.
# A container may forbid the change; most kernels get by without it.
fixed_addresses=(setarch "$(uname -m)" --addr-no-randomize)
if "${fixed_addresses[@]}" true 2> /dev/null; then
  exec "${fixed_addresses[@]}" "$@"
fi
exec "$@"
