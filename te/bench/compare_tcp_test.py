"""The arithmetic of compare_tcp. What it runs is measured, not tested."""

import contextlib
import io
import unittest

from te.bench import compare_tcp


def results_with(values):
    results = compare_tcp.Results()
    for streams in compare_tcp.STREAMS:
        results.add(f"iperf3 x{streams}", 4)
        results.add(f"pump x{streams}", 6)
        for operation in ["read", "write"]:
            for block in compare_tcp.LARGE_BLOCKS:
                results.add(f"te {operation} {block} x{streams}", 6)
    results.add("ping-pong 4K", 10)
    for operation in ["read", "write"]:
        results.add(f"te {operation} 4K batch 128", 4)
        results.add(f"te {operation} 4K batch 1", 12)
    for name, series in values.items():
        results.series[name] = series
    return results


class CompareTcpTest(unittest.TestCase):
    def missed(self, values):
        return [
            (verdict["series"], verdict["compared_with"])
            for verdict in compare_tcp.judge(results_with(values))
            if not verdict["met"]
        ]

    def test_all_met(self):
        self.assertEqual(self.missed({}), [])

    def test_rates_have_a_lower_bound(self):
        self.assertEqual(
            self.missed({"te read 1M x1": [5.3], "te write 4K batch 128": [2.9]}),
            [
                ("te read 1M x1", "pump x1"),
                ("te write 4K batch 128", "te write 1M x1"),
            ],
        )
        self.assertEqual(
            self.missed({"te write 16M x2": [3.9]}),
            [("te write 16M x2", "iperf3 x2"), ("te write 16M x2", "pump x2")],
        )

    def test_latencies_have_an_upper_bound(self):
        self.assertEqual(
            self.missed({"te read 4K batch 1": [15.1]}),
            [("te read 4K batch 1", "ping-pong 4K")],
        )

    def test_medians_are_compared(self):
        self.assertEqual(self.missed({"te read 1M x1": [1, 6, 6, 7, 2]}), [])

    def test_the_text_says_what_is_missed(self):
        results = results_with({"te read 4K batch 1": [16]})
        report = {
            "date": "2020-01-01",
            "machine": "two CPUs",
            "rounds": 1,
            "seconds": 2,
            "pump_sizes": {1: ("64K", "1M"), 2: ("128K", "256K")},
            "series": {
                name: {"median": 1, "min": 1, "max": 1, "unit": "GB/s"}
                for name in results.series
            },
            "targets": compare_tcp.judge(results),
        }
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            compare_tcp.print_text(report)
        text = out.getvalue()
        self.assertIn("the pump x2 writes 128K and reads 256K at a time", text)
        self.assertRegex(text, r"te read 4K batch 1 .* 1\.60 .*MISSED")
        self.assertIn("19 targets met, 1 missed", text)


if __name__ == "__main__":
    unittest.main()
