#!/bin/bash
# What fuzz tests do where libFuzzer is not linked.
set -euo pipefail

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

corpus=tools/fuzz/testdata/corpus
example=tools/fuzz/example_fuzz
planted_bug=tools/fuzz/planted_bug_fuzz

output="$("${example}" --runs=1000 "${corpus}")"
[[ "${output}" == *"file ${corpus}/empty"* ]] || fail "a file was left out: ${output}"
[[ "${output}" == *"3 files, 1000 mutations"* ]] || fail "wrong counts: ${output}"

# The files alone do not show the bug, mutations do, and the seed shows it again.
"${planted_bug}" --runs=0 "${corpus}" || fail "the corpus must not show the bug"
output="$("${planted_bug}" "${corpus}" 2>&1)" && fail "the bug was not found"
seed="$(sed -n 's/^mutations: --seed=//p' <<< "${output}")"
[[ -n "${seed}" ]] || fail "no seed was printed: ${output}"
"${planted_bug}" --seed="${seed}" "${corpus}" && fail "seed ${seed} did not show the bug"

"${example}" "${corpus}/missing" 2> /dev/null && fail "a missing file is an error"
"${example}" --sed=1 2> /dev/null && fail "an unknown option is an error"
exit 0
