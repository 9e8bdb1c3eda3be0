#!/bin/bash
# Starts a test under a sanitizer, from the top of its runfiles. What the caller
# has in ASAN_OPTIONS and the like wins.
set -euo pipefail
here="${PWD}/tools/sanitizers"
if [[ ! -f "${here}/tsan_suppressions.txt" ]]; then
  echo "tools/sanitizers/run_under.sh: no ${here}: not in a test's runfiles?" >&2
  exit 1
fi

export ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=1:halt_on_error=1:strict_init_order=1:${ASAN_OPTIONS:-}"
export LSAN_OPTIONS="print_suppressions=0:suppressions=${here}/lsan_suppressions.txt:${LSAN_OPTIONS:-}"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:suppressions=${here}/tsan_suppressions.txt:${TSAN_OPTIONS:-}"

# ThreadSanitizer of g++ 12 cannot work with addresses as random as new kernels make
# them. A container may forbid the change; most kernels get by without it.
fixed_addresses=(setarch "$(uname -m)" --addr-no-randomize)
if "${fixed_addresses[@]}" true 2> /dev/null; then
  exec "${fixed_addresses[@]}" "$@"
fi
exec "$@"
