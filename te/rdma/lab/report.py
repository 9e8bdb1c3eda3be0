"""How the programs end that measure in the lab."""

import json
import sys

from te.rdma.lab.failure import LabFailure


def print_report(program, measure, print_text, as_json):
    """Prints what `measure` returns, by `print_text` or as one JSON object, or why it
    could not be measured. Returns the exit status."""
    try:
        measured = measure()
    except LabFailure as failure:
        print(f"{program}: {failure}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(measured, indent=2))
    else:
        print_text(measured)
    return 0
