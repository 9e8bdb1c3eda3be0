#!/bin/bash
# Bazel 4's py_test starts `python`, which Debian 12 does not have.
exec python3 "$@"
