"""How the programs end that measure in the lab."""

import contextlib
import io
import json
import unittest

from te.rdma.lab.failure import LabFailure
from te.rdma.lab.report import print_report

MEASURED = {"ib_write_bw": {"unit": "GB/s", "median": 1.5}}


def run(measure, as_json):
    """Exit status, and what was printed to stdout and stderr."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            status = print_report(
                "program", measure, lambda measured: print(len(measured)), as_json
            )
    return status, out.getvalue(), err.getvalue()


def fail():
    raise LabFailure("no QEMU")


class ReportTest(unittest.TestCase):
    def test_prints_text_for_people(self):
        self.assertEqual(run(lambda: MEASURED, as_json=False), (0, "1\n", ""))

    def test_prints_one_object_for_programs(self):
        status, out, err = run(lambda: MEASURED, as_json=True)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(json.loads(out), MEASURED)

    def test_says_why_nothing_was_measured(self):
        for as_json in [False, True]:
            self.assertEqual(run(fail, as_json), (1, "", "program: no QEMU\n"))


if __name__ == "__main__":
    unittest.main()
