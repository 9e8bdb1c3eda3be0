"""The arithmetic of compare_shm. What it runs is measured, not tested."""

import argparse
import contextlib
import io
import json
import unittest
import unittest.mock

from te.bench import compare_shm
from te.bench.compare_shm import Case, hot

MIB = 1 << 20


class FakePrograms:
    """te is slower by a tenth, and takes 0.2 us longer; movsb is the better copy."""

    def bare(self, way, case):
        rate = {"cma": 10, "memcpy": 8, "movsb": 10}[way]
        return {"gb_per_s": rate, "latency_us": {"p50": 1.0}}

    def bench(self, memory, case):
        return {"gb_per_s": 9, "latency_us": {"p50": 1.2}, "requests_per_s": 4e6}

    def ucx(self, memory, case):
        return 8


def compared(memories=("user", "engine"), with_ucx=True):
    comparison = compare_shm.Comparison(FakePrograms(), memories, 1024 * MIB, with_ucx)
    comparison.measure_round()
    return comparison


class CompareShmTest(unittest.TestCase):
    def setUp(self):
        self.comparison = compared()
        self.results = self.comparison.results

    def verdicts(self):
        return {v["series"] + " over " + v["compared_with"]: v
                for v in self.comparison.judge()}

    def missed(self):
        return {name for name, v in self.verdicts().items() if not v["met"]}

    def test_large_blocks_are_judged_by_their_rate(self):
        expected = {
            f"te {memory} {operation} {block}{case} over "
            f"{base} {memory} {operation} {block}{case}"
            for memory, base in [("user", "cma"), ("engine", "movsb")]
            for operation in ["read", "write"]
            for block in ["1M", "16M"]
            for case in ["", " large x1", " large x2"]
        }
        missed = {name for name in self.missed() if "4K" not in name}
        self.assertEqual(missed, expected)
        for series in list(self.results.series):
            if series.startswith("te ") and "M" in series:
                self.results.series[series] = [9.6]
        self.assertEqual({name for name in self.missed() if "4K" not in name}, set())

    def test_the_base_is_the_better_way_to_copy(self):
        name = "te engine read 1M over movsb engine read 1M"
        self.assertAlmostEqual(self.verdicts()[name]["ratio"], 0.9)
        self.results.series["memcpy engine read 1M"] = [18]
        name = "te engine read 1M over memcpy engine read 1M"
        self.assertAlmostEqual(self.verdicts()[name]["ratio"], 0.5)

    def test_small_ones_of_the_user_by_what_comes_on_top(self):
        name = "te user read 4K p50 over cma user read 4K p50"
        self.results.series["te user read 4K p50"] = [1.31]
        self.assertIn(name, self.missed())
        self.results.series["te user read 4K p50"] = [1.29]
        self.assertNotIn(name, self.missed())

    def test_small_ones_of_the_engine_by_their_time_and_number(self):
        name = "te engine read 4K p50 over 0.5 us"
        self.assertIn(name, self.missed())
        self.results.series["te engine read 4K p50"] = [0.49]
        self.assertNotIn(name, self.missed())
        name = "te engine write 4K batch 128 over 5 M requests/s"
        self.assertIn(name, self.missed())
        self.results.series["te engine write 4K batch 128 requests"] = [5.1]
        self.assertNotIn(name, self.missed())

    def test_te_must_be_ahead_of_ucx(self):
        def of_ucx():
            return {name for name in self.missed() if " over ucx " in name}

        self.assertEqual(of_ucx(), set())
        self.assertEqual(sum("over ucx" in name for name in self.verdicts()), 16)
        self.results.series["ucx engine write 64K"] = [9.1]
        self.results.series["ucx user read 4K"] = [9.1]
        self.assertEqual(of_ucx(), {
            "te engine write 64K over ucx engine write 64K",
            "te user read 4K batch 128 over ucx user read 4K",
        })

    def test_goes_on_without_ucx(self):
        comparison = compared(with_ucx=False)
        self.assertFalse(any("ucx" in name for name in comparison.results.series))
        self.assertFalse(any("ucx" in v["compared_with"] for v in comparison.judge()))

    def test_one_kind_of_memory_alone(self):
        comparison = compared(memories=["user"])
        self.assertFalse(any("engine" in name for name in comparison.results.series))
        self.assertEqual(
            {v["series"].split()[1] for v in comparison.judge()}, {"user"})

    def test_units(self):
        units = {name: compare_shm.unit_of(name) for name in self.results.series}
        self.assertEqual(units["te user read 4K p50"], "us")
        self.assertEqual(units["te user read 4K"], "GB/s")
        self.assertEqual(units["te engine read 4K batch 128 requests"], "M/s")

    def test_is_printed(self):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            compare_shm.print_text({
                "date": "", "machine": "", "rounds": 1, "seconds": 1,
                "large": "large: so much",
                "series": self.results.summary(compare_shm.unit_of),
                "targets": self.comparison.judge(),
            })
        self.assertIn("MISSED", printed.getvalue())
        self.assertIn("large: so much", printed.getvalue())


class ProgramsTest(unittest.TestCase):
    """What is compared does the same work."""

    def setUp(self):
        options = argparse.Namespace(bin_dir="", seconds=1, bench_flag=["--v=1"])
        self.programs = compare_shm.Programs(options)

    def command(self, measure, *arguments):
        with unittest.mock.patch.object(compare_shm, "run") as run:
            run.return_value = json.dumps({})
            measure(*arguments)
        return run.call_args[0][0]

    def test_the_same_block_again_and_again(self):
        case = hot("read", "64K")
        bare = self.command(self.programs.bare, "movsb", case)
        self.assertIn("--way=movsb", bare)
        bench = self.command(self.programs.bench, "engine", case)
        self.assertIn("--memory=engine", bench)
        self.assertIn("--batch_size=1", bench)
        self.assertIn("--v=1", bench)
        for command in [bare, bench]:
            self.assertIn("--buffer_size=65536", command)
            self.assertIn("--threads=1", command)
        self.assertFalse(any("workers" in flag for flag in bench))

    def test_through_much_memory_by_so_many_threads_alone(self):
        case = Case("write", "1M", 1024 * MIB, 2, 1)
        bare = self.command(self.programs.bare, "cma", case)
        bench = self.command(self.programs.bench, "user", case)
        for command in [bare, bench]:
            self.assertIn(f"--buffer_size={1024 * MIB}", command)
            self.assertIn("--threads=2", command)
        # Both threads together go through all of it.
        self.assertIn("--batch_size=512", bench)
        self.assertIn("--shm_workers=0", bench)
        self.assertFalse(any("--memory" in flag for flag in bench))

    def test_a_batch_has_as_much_memory_as_it_needs(self):
        bench = self.command(self.programs.bench, "engine", hot("read", "4K", 128))
        self.assertIn("--batch_size=128", bench)
        self.assertIn("--buffer_size=524288", bench)


class LargeBufferTest(unittest.TestCase):
    def test_leaves_a_quarter_of_the_memory(self):
        self.assertEqual(compare_shm.large_buffer(64 << 30), 1 << 30)
        self.assertEqual(compare_shm.large_buffer(2 << 30), 512 * MIB)
        self.assertEqual(compare_shm.large_buffer(0), 64 * MIB)

    def test_says_if_it_is_too_small(self):
        self.assertNotIn("too little", compare_shm.describe_large(1024 * MIB, 32 * MIB))
        text = compare_shm.describe_large(512 * MIB, 512 * MIB)
        self.assertIn("there is too little memory", text)
        self.assertIn("not larger than the cache", text)


if __name__ == "__main__":
    unittest.main()
