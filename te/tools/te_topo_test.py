"""te_topo as its users run it."""

import json
import os
import subprocess
import tempfile
import unittest
import xml.dom.minidom

TOOL = os.path.abspath("te/tools/te_topo")
MACHINES = os.path.abspath("te/topology/testdata/machines")
PATIENCE = 60


def run(*arguments, stdin=""):
    """The finished process, with its output as text."""
    return subprocess.run(
        [TOOL, *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def machine(name):
    return f"--xml={MACHINES}/{name}.xml"


class TeTopoTest(unittest.TestCase):
    def check(self, *arguments, **kwargs):
        result = run(*arguments, **kwargs)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        return result.stdout

    def check_error(self, status, complaint, *arguments):
        result = run(*arguments)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertTrue(result.stderr.startswith("te_topo: "), result.stderr)
        self.assertIn(complaint, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_shows_this_machine(self):
        self.assertIn("cpu:0", self.check())
        nodes = json.loads(self.check("--format=json"))["numa_nodes"]
        self.assertGreater(sum(len(node["cpus"]) for node in nodes), 0)
        xml.dom.minidom.parseString(self.check("--format=svg"))

    def test_shows_a_machine_from_a_file_and_from_stdin(self):
        text = self.check(machine("eight_gpus"), "--format=json")
        shown = json.loads(text)
        self.assertEqual(len(shown["nics"]), 8)
        self.assertEqual(len(shown["gpus"]), 8)
        self.assertEqual(shown["matrix"]["cuda:5"]["preferred"], ["mlx5_5"])
        with open(f"{MACHINES}/eight_gpus.xml", encoding="utf-8") as file:
            self.assertEqual(
                self.check("--xml=-", "--format=json", stdin=file.read()), text
            )

    def test_every_machine_in_every_format(self):
        for file in sorted(os.listdir(MACHINES)):
            name, extension = os.path.splitext(file)
            if extension != ".xml":
                continue
            self.assertIn("NUMA nodes", self.check(machine(name)))
            json.loads(self.check(machine(name), "--format=json"))
            xml.dom.minidom.parseString(self.check(machine(name), "--format=svg"))
            self.assertIn("</html>", self.check(machine(name), "--format=html"))

    def test_a_copy_of_sysfs_adds_what_the_xml_lacks(self):
        with tempfile.TemporaryDirectory() as sysfs:
            port = f"{sysfs}/class/infiniband/mlx5_0/ports/1"
            os.makedirs(f"{port}/gids")
            os.makedirs(f"{sysfs}/class/net")
            for name, value in {
                "state": "4: ACTIVE",
                "link_layer": "Ethernet",
                "rate": "200 Gb/sec (4X HDR)",
                "lid": "0x0",
                "gids/0": "::ffff:10.0.0.1",
            }.items():
                with open(f"{port}/{name}", "w", encoding="utf-8") as file:
                    file.write(value + "\n")
            shown = json.loads(
                self.check(
                    machine("two_sockets"), f"--sysfs={sysfs}", "--format=json"
                )
            )
        self.assertEqual([nic["name"] for nic in shown["nics"]], ["mlx5_0"])
        self.assertEqual(shown["nics"][0]["rate_gbps"], 200)
        self.assertIn("mlx5_1 is in the topology of hwloc", shown["warnings"][0])

    def test_explains(self):
        text = self.check(machine("two_sockets"), "--explain=cpu:1")
        self.assertIn("mlx5_1  same_numa_node  left out: port 1 is DOWN", text)

    def test_chooses_among_devices(self):
        shown = json.loads(
            self.check(
                machine("eight_gpus"),
                "--device_name=ib0,ib1,ib2,ib3",
                "--exclude_device_name=mlx5_6",
                "--spread=1",
                "--format=matrix",
            )
        )
        self.assertEqual(
            shown["cpu:0"], [["mlx5_1", "mlx5_2", "mlx5_3", "mlx5_0"], []]
        )

    def test_warnings_are_on_stderr_where_the_output_has_no_place_for_them(self):
        with tempfile.TemporaryDirectory() as sysfs:
            os.makedirs(f"{sysfs}/class/net")
            result = run(machine("two_sockets"), f"--sysfs={sysfs}", "--explain=cpu:0")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("te_topo: mlx5_1 is in the topology of hwloc", result.stderr)

    def test_another_machine_in_the_environment_is_not_taken_for_this_one(self):
        result = subprocess.run(
            [TOOL],
            env={**os.environ, "HWLOC_SYNTHETIC": "pack:2 numa:2 pu:1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(result.returncode, 1)
        self.assertIn("HWLOC_SYNTHETIC", result.stderr)

    def test_a_matrix_of_no_device_is_an_error(self):
        self.check_error(1, "no RDMA device can be used", "--format=matrix",
                         machine("one_socket"))

    def test_help(self):
        text = self.check("--help")
        for flag in ("--xml", "--sysfs", "--format", "--explain", "--spread"):
            self.assertIn(flag, text)

    def test_errors(self):
        self.check_error(2, "--format: ", "--format=yaml")
        self.check_error(2, "unknown memory location", "--explain=node0")
        self.check_error(2, "is no flag", "show")
        self.check_error(2, "--sysfs: ", "--sysfs=/sys")
        self.check_error(1, "the machine has no cpu:7", "--explain=cpu:7",
                         machine("two_sockets"))
        self.check_error(1, "the machine has no cuda:0", "--format=svg",
                         "--location=cuda:0", machine("two_sockets"))
        self.check_error(1, "is mlx5_1 meant?", "--device_name=mlx5_11",
                         machine("two_sockets"))
        self.check_error(1, "open /nonexistent", "--xml=/nonexistent")
        self.check_error(1, "/dev/null: the topology XML", "--xml=/dev/null")
        self.check_error(1, "/nonexistent is no sysfs", "--sysfs=/nonexistent",
                         machine("two_sockets"))


if __name__ == "__main__":
    unittest.main()
