#!/bin/bash
# clang for Bazel. A header is checked by parsing it, which writes no file, but
# Bazel wants one for every action: then PARSED_HEADER names it.
set -euo pipefail
clang "$@"
if [[ -n "${PARSED_HEADER:-}" ]]; then
  : > "${PARSED_HEADER}"
fi
