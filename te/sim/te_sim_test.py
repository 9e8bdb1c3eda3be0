"""te_sim as its users run it."""

import os
import subprocess
import tempfile
import unittest
import xml.dom.minidom

SIM = os.path.abspath("te/sim/te_sim")
PATIENCE = 60


def run(*arguments):
    """The finished process, with its output as text."""
    return subprocess.run(
        [SIM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class TeSimTest(unittest.TestCase):
    def check(self, *arguments):
        result = run(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        return result.stdout

    def check_error(self, status, complaint, *arguments):
        result = run(*arguments)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertTrue(result.stderr.startswith("te_sim: "), result.stderr)
        self.assertIn(complaint, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_shows_policies_side_by_side(self):
        text = self.check("--seconds=0.01")
        for policy in ("scheduler", "round_robin", "random", "least_in_flight"):
            self.assertIn(f"\n{policy} ", text)
        self.assertEqual(text, self.check("--seconds=0.01"))
        self.assertNotIn(
            "random", self.check("--seconds=0.01", "--policy=scheduler")
        )

    def test_says_nothing_of_what_cannot_be(self):
        options = ("--rails=1", "--seconds=0.05", "--policy=scheduler")
        # There is no other rail that could reach anything.
        row = self.check("--scenario=cut", *options).splitlines()[-1].split()
        self.assertEqual(row[-3], "-", row)
        # Nor, with this seed, is anything possible at all.
        text = self.check(
            "--scenario=random_faults", "--gbps=1", "--seed=331", *options
        )
        self.assertNotIn("nan", text)

    def test_complains_at_once_of_a_picture_that_cannot_be(self):
        self.check_error(
            1, "cannot write /nowhere/a.svg", "--svg=/nowhere/a.svg"
        )

    def test_lists_scenarios(self):
        self.assertIn("prefill_decode  ", self.check("--list"))

    def test_draws(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "picture.svg")
            self.check(
                "--scenario=throttled,short_under_bulk",
                "--seconds=0.02",
                f"--svg={path}",
            )
            picture = xml.dom.minidom.parse(path)
        # Two scenarios, four policies and the ideal.
        self.assertEqual(len(picture.getElementsByTagName("polyline")), 10)
        texts = [
            text.firstChild.data
            for text in picture.getElementsByTagName("text")
            if text.firstChild
        ]
        self.assertIn("throughput (GB/s)", texts)
        self.assertIn("time (ms)", texts)

    def test_lost_output_is_an_error(self):
        for redirection in (">/dev/full", ">&-"):
            with self.subTest(redirection=redirection):
                result = subprocess.run(
                    ["/bin/sh", "-c", f'"$@" {redirection}', "sh", SIM, "--list"],
                    stderr=subprocess.PIPE,
                    text=True,
                    timeout=PATIENCE,
                    check=False,
                )
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn("standard output", result.stderr)

    def test_a_limit_of_file_sizes_is_an_error_like_others(self):
        # Not 0, with which ThreadSanitizer does not even begin.
        with tempfile.TemporaryDirectory() as folder:
            result = subprocess.run(
                ["/bin/sh", "-c", 'ulimit -f 1; "$@" 2>&1 | cat', "sh", SIM]
                + ["--seconds=0.001", f"--svg={folder}/picture.svg"],
                stdout=subprocess.PIPE,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        self.assertIn("te_sim: ", result.stdout.splitlines()[-1])

    def test_explains_itself(self):
        self.assertIn("--scenario", self.check("--help"))

    def test_says_what_is_wrong(self):
        self.check_error(2, '"cud" is no scenario', "--scenario=cud")
        self.check_error(2, "--policy", "--policy=best")
        self.check_error(2, "colour", "--colour=red")
        self.check_error(2, "hosts", "--hosts=many")
        self.check_error(2, '"cut" is no flag', "cut")
        self.check_error(
            1,
            "/nonexistent/x.svg",
            "--seconds=0.001",
            "--svg=/nonexistent/x.svg",
        )


if __name__ == "__main__":
    unittest.main()
