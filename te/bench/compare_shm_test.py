"""The arithmetic of compare_shm. What it runs is measured, not tested."""

import unittest

from te.bench import compare_shm
from te.bench.comparison import Results


class FakePrograms:
    """te is slower by a tenth, and takes 0.2 us longer."""

    def bare(self, operation, block):
        return {"gb_per_s": 10, "latency_us": {"p50": 1.0}}

    def bench(self, operation, block):
        return {"gb_per_s": 9, "latency_us": {"p50": 1.2}}


class CompareShmTest(unittest.TestCase):
    def setUp(self):
        self.results = Results()
        compare_shm.measure_round(FakePrograms(), self.results)

    def missed(self):
        return [v["series"] for v in compare_shm.judge(self.results) if not v["met"]]

    def test_large_blocks_are_judged_by_their_rate(self):
        self.assertEqual(
            self.missed(),
            ["te read 1M", "te read 16M", "te write 1M", "te write 16M"],
        )
        for series in list(self.results.series):
            if series.startswith("te ") and series.endswith("M"):
                self.results.series[series] = [9.6]
        self.assertEqual(self.missed(), [])

    def test_small_ones_by_what_comes_on_top(self):
        self.results.series["te read 4K p50"] = [1.31]
        self.assertIn("te read 4K p50", self.missed())
        self.results.series["te read 4K p50"] = [1.29]
        self.assertNotIn("te read 4K p50", self.missed())

    def test_units(self):
        units = {name: compare_shm.unit_of(name) for name in self.results.series}
        self.assertEqual(units["te read 4K p50"], "us")
        self.assertEqual(units["te read 4K"], "GB/s")


if __name__ == "__main__":
    unittest.main()
