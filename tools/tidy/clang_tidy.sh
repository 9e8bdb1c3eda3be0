#!/bin/bash
# clang_tidy.sh CHECKED SOURCE GENERATED: fails if clang-tidy has anything to say of
# SOURCE; else makes the file CHECKED. GENERATED is where generated headers are.
set -euo pipefail
# On stderr it counts the warnings in headers of the system.
if ! clang-tidy --quiet --extra-arg="-iquote$3" "$2" 2> "$1"; then
  cat "$1" >&2
  exit 1
fi
