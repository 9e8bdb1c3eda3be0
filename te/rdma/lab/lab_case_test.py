"""When a test of a lab is run again."""

import contextlib
import io
import unittest
import unittest.mock

from te.rdma.lab import lab_case


class FakeLab:
    """A wire of the first one is broken, if `broken`."""

    broken = False
    booted = 0

    def __init__(self, rails):
        FakeLab.booted += 1
        self.number = FakeLab.booted
        self.hosts = ["a", "b"]

    def wires_work(self):
        return self.number > 1 or not FakeLab.broken

    def close(self):
        pass


class NeedsSecondLab(lab_case.LabCase):
    def test_it(self):
        self.assertGreater(self.lab.number, 1)


class NeedsNothing(lab_case.LabCase):
    def test_it(self):
        self.assertEqual(self.a, "a")


class LabCaseTest(unittest.TestCase):
    def run_in_fake_lab(self, case, broken):
        FakeLab.broken = broken
        FakeLab.booted = 0
        result = unittest.TestResult()
        with (
            unittest.mock.patch.object(lab_case, "Lab", FakeLab),
            contextlib.redirect_stderr(io.StringIO()) as self.printed,
        ):
            unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
        self.assertEqual(result.testsRun, 1)
        return result

    def test_a_failure_in_a_broken_lab_is_none_yet(self):
        result = self.run_in_fake_lab(NeedsSecondLab, broken=True)
        self.assertTrue(result.wasSuccessful(), result.failures)
        self.assertEqual(FakeLab.booted, 2)
        self.assertIn("1 not greater than 1", self.printed.getvalue())
        self.assertIn("once more in a new one", self.printed.getvalue())

    def test_a_failure_in_a_lab_that_works_is_one(self):
        result = self.run_in_fake_lab(NeedsSecondLab, broken=False)
        self.assertEqual(len(result.failures), 1)
        self.assertEqual(FakeLab.booted, 1)

    def test_success_needs_no_second_look(self):
        result = self.run_in_fake_lab(NeedsNothing, broken=True)
        self.assertTrue(result.wasSuccessful())
        self.assertEqual(FakeLab.booted, 1)


def load_tests(loader, _tests, _pattern):
    """Not those that are run within others."""
    return loader.loadTestsFromTestCase(LabCaseTest)


if __name__ == "__main__":
    unittest.main()
