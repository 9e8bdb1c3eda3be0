"""How perftest's output is read. The programs run in lab_test."""

import argparse
import unittest

from te.rdma.lab import perftest
from te.rdma.lab.failure import LabFailure

BANDWIDTH = (
    " #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]"
    "   MsgRate[Mpps]\n"
    " 65536      3051             32.19              18.31   \t\t   0.000293\n"
    "-----\n"
)
LATENCY = (
    " #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]"
    "    t_avg[usec]    t_stdev[usec]   99% percentile[usec]   99.9% percentile[usec]\n"
    " 4096    1000          302.06         5193.10      353.60     \t       366.39"
    "        \t144.75\t\t451.12  \t\t5193.10\n"
    "-----\n"
)


class PerftestTest(unittest.TestCase):
    def test_bandwidth(self):
        figures = perftest.parse_bandwidth(BANDWIDTH, 65536)
        self.assertAlmostEqual(figures["gb_per_s"], 18.31 * 2**20 / 1e9)
        self.assertAlmostEqual(figures["peak_gb_per_s"], 32.19 * 2**20 / 1e9)

    def test_latency(self):
        self.assertEqual(
            perftest.parse_latency(LATENCY, 4096),
            {"p50": 353.6, "min": 302.06, "max": 5193.1, "average": 366.39, "p99": 451.12},
        )

    def test_a_deviation_that_is_no_number(self):
        figures = perftest.parse_latency(LATENCY.replace("144.75", "-nan"), 4096)
        self.assertEqual((figures["p50"], figures["p99"]), (353.6, 451.12))

    def test_output_without_figures_is_shown(self):
        for text in ["Couldn't connect", BANDWIDTH + BANDWIDTH]:
            with self.assertRaisesRegex(LabFailure, text.split("\n", maxsplit=1)[0][:9]):
                perftest.parse_bandwidth(text, 65536)
        with self.assertRaises(LabFailure):
            perftest.parse_bandwidth(BANDWIDTH, 4096)

    def test_sizes(self):
        self.assertEqual(perftest.parse_sizes("512,64K,1M"), [512, 65536, 1048576])
        with self.assertRaises(argparse.ArgumentTypeError):
            perftest.parse_sizes("64KiB")

    def test_summary(self):
        self.assertEqual(
            perftest.summarize({"ib_write_bw": ("GB/s", [3, 1, 7])}),
            {"ib_write_bw": {"unit": "GB/s", "median": 3, "min": 1, "max": 7}},
        )


if __name__ == "__main__":
    unittest.main()
