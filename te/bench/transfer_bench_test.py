"""What transfer_bench measures and prints."""

import json
import os
import re
import select
import signal
import subprocess
import unittest

from te.bench.processes import (
    BENCH,
    PATIENCE,
    SHORT,
    SMALL,
    BenchTestCase,
    RunningInitiator,
    Target,
    Terminal,
    environment,
    run,
)

KEYS = [
    "transport",
    "operation",
    "block_size",
    "batch_size",
    "threads",
    "duration_s",
    "requests",
    "bytes",
    "gb_per_s",
    "requests_per_s",
    "latency_us",
    "verified_bytes",
    "errors",
]
LATENCY_KEYS = ["p50", "p90", "p99", "p999", "max"]


class TransferBenchTest(BenchTestCase):
    def check_row(self, line):
        row = json.loads(line)
        self.assertEqual(list(row), KEYS)
        self.assertEqual(list(row["latency_us"]), LATENCY_KEYS)
        latencies = list(row["latency_us"].values())
        self.assertEqual(latencies, sorted(latencies))
        self.assertGreater(latencies[0], 0)
        self.assertEqual(row["bytes"], row["requests"] * row["block_size"])
        self.assertAlmostEqual(
            row["gb_per_s"], row["bytes"] / row["duration_s"] / 1e9, delta=0.001
        )
        return row

    # Loopback.

    def test_loopback_with_its_defaults_verifies_and_prints_a_table(self):
        result = run("--duration=0.02")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        sizes = ["4 KiB", "16 KiB", "64 KiB", "256 KiB", "1 MiB", "4 MiB", "16 MiB"]
        both = [("read", size) for size in sizes] + [("write", s) for s in sizes]
        for protocol in ["shm", "tcp"]:
            rows = re.findall(rf"(?m)^{protocol} +(\w+) +(\d+ \w+) ", result.stdout)
            self.assertEqual(rows, both)
        self.assertIn("every byte is where it belongs", result.stdout)
        self.check_completed(result.stdout)

    def test_loopback_with_memory_of_the_engines(self):
        result = run("--memory=engine", "--verify", "--duration=0.02", "--format=json")
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = [self.check_row(line) for line in result.stdout.splitlines()]
        self.assertEqual(
            [row["transport"] for row in rows], ["shm"] * 14 + ["tcp"] * 14
        )
        self.assertEqual({row["errors"] for row in rows}, {0})
        self.assertNotIn(0, [row["verified_bytes"] for row in rows])

    def test_loopback_says_why_it_leaves_rdma_out(self):
        result = run("--noauto_discovery", "--duration=0.02", "--block_size=4K")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        self.assertRegex(
            result.stdout,
            r"\ALoopback over shm: .*\n"
            r"Not over rdma: there is no RDMA device that can be used: none is named, .*\n",
        )

    def test_loopback_leaves_no_target_behind(self):
        process = subprocess.Popen(
            [BENCH, "--mode=loopback", "--duration=600", *SMALL],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        with process:
            # The target inherits stderr, so its end shows when that is closed. Its
            # log comes after that of the initiator's engine.
            engines = 0
            while engines < 2:
                line = process.stderr.readline()
                self.assertTrue(line, "it ended before its target was up")
                engines += b"served over shm" in line
            process.kill()
            read = select.select([process.stderr], [], [], PATIENCE)[0]
            while read and process.stderr.read1(65536):
                read = select.select([process.stderr], [], [], PATIENCE)[0]
            self.assertTrue(read, "a target process is still there")

    def test_json_is_all_that_is_on_stdout(self):
        result = run(
            "--format=json",
            "--block_sizes=4K,1M",
            "--batch_sizes=1,2",
            "--thread_counts=1,2",
            "--duration=0.02",
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = [self.check_row(line) for line in result.stdout.splitlines()]
        self.assertEqual(
            [row["transport"] for row in rows], ["shm"] * 16 + ["tcp"] * 16
        )
        self.assertEqual({row["errors"] for row in rows}, {0})
        self.assertNotIn(0, [row["verified_bytes"] for row in rows])

    def test_progress_is_for_terminals(self):
        terminal = Terminal()
        with subprocess.Popen(
            [BENCH, *SMALL, "--duration=0.3"],
            stdout=subprocess.PIPE,
            stderr=terminal.theirs,
            env=environment(),
            text=True,
        ) as process:
            os.close(terminal.theirs)
            while terminal.read():
                pass
            out = process.stdout.read()
        terminal.close()
        self.assertEqual(process.returncode, 0)
        self.assertRegex(
            terminal.text, r"\rread 64 KiB x 4, 2 threads: 0\.\d of 0\.3 s, "
        )
        self.assertTrue(terminal.text.endswith("\r\x1b[K"), "the line stays behind")
        self.assertNotIn("\r", out)

    # Two processes.

    def check_two_processes(self, host):
        with Target(host) as target:
            for operation in ["read", "write", "mix"]:
                result = run(
                    "--mode=initiator",
                    "--metadata_server=p2p",
                    f"--local_server_name={host}",
                    f"--segment_id={target.name}",
                    "--protocol=tcp",
                    f"--operation={operation}",
                    "--verify",
                    *SMALL,
                    *SHORT,
                )
                self.assertEqual(result.returncode, 0, result.stderr)
                self.check_completed(result.stdout)
                self.assertIn("every byte is where it belongs", result.stdout)
                self.assertIn("Worker 1 stopped!", result.stderr)
                self.assertIn("found interface lo: ", result.stderr)
                self.assertIn("skipped interface lo: it is loopback", result.stderr)
                self.assertIn("NUMA node ", result.stderr)
            status, out, err = target.end(signal.SIGINT)
        self.assertEqual(status, 0, err)
        self.assertIn("Received signal 2, stopping target server...", err)
        self.assertIn(f"--segment_id={target.name}", out)

    def test_two_processes_over_ipv4(self):
        self.check_two_processes("127.0.0.1")

    def test_two_processes_over_ipv6(self):
        self.check_two_processes("[::1]")

    def test_the_line_that_a_target_prints_is_a_command(self):
        with Target("127.0.0.1") as target:
            line = target.process.stdout.readline()
            command = line.split(": ", 1)[1].split()
            self.assertEqual(command[0], BENCH)
            result = run(*command[1:], *SMALL[1:], "--format=json", *SHORT)
            self.assertEqual(result.returncode, 0, result.stderr)
            row = self.check_row(result.stdout)
            self.assertEqual(row["operation"], "read")
            self.assertEqual(row["verified_bytes"], 0)

    def test_the_unit_is_that_of_the_flag(self):
        with Target("127.0.0.1") as target:
            result = run(
                f"--segment_id={target.name}",
                "--report_unit=MiB",
                "--report_precision=0",
                *SMALL,
                *SHORT,
            )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"throughput \d+ MiB/s\n$")

    def test_signals_end_a_target_well(self):
        for number in [signal.SIGTERM, signal.SIGHUP]:
            with Target("127.0.0.1") as target:
                status, _, err = target.end(number)
            self.assertEqual(status, 0)
            self.assertIn(
                f"Received signal {number:d}, stopping target server...", err
            )

    def test_a_signal_ends_an_initiator_with_what_it_has(self):
        with Target("127.0.0.1") as target:
            with RunningInitiator(target) as initiator:
                initiator.process.send_signal(signal.SIGINT)
                status, out, err = initiator.finish()
        self.assertEqual(status, 1)
        self.check_completed(out)
        self.assertIn("stopped by signal 2", err)

    # Environment and help.

    def test_environment_variables(self):
        flags = [*SMALL, "--duration=0.02", "--operation=read"]
        result = run(
            *flags,
            env={"MC_SLICE_SIZE": "32768", "MC_FORCE_HCA": "1", "MC_SLICE_SIZ": "1"},
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("MC_FORCE_HCA has no effect: it is not needed", lines[0])
        self.assertIn("unknown environment variable MC_SLICE_SIZ;", lines[1])

        self.check_fails_with_one_line(
            *flags, env={"MC_SLICE_SIZE": "big"}, why="MC_SLICE_SIZE"
        )
        self.check_fails_with_one_line(
            *flags, env={"MC_SLICE_SIZE": "1"}, why="--slice_size"
        )
        # A flag wins.
        result = run(*flags, "--slice_size=64K", env={"MC_SLICE_SIZE": "big"})
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_environment_chooses_where_a_target_listens(self):
        with Target("127.0.0.1") as other:
            port = other.name.rsplit(":", 1)[1]
            result = run(
                "--mode=target",
                env={
                    "MC_TCP_BIND_ADDRESS": "127.0.0.1",
                    "MC_MIN_RPC_PORT": port,
                    "MC_MAX_RPC_PORT": port,
                },
            )
        self.assertEqual(result.returncode, 1)
        self.assertIn(port, result.stderr)

    def test_help(self):
        result = run("--help")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(result.stderr, "")
        for word in ["--mode", "--segment_id", "MC_SLICE_SIZE", "Exit status"]:
            self.assertIn(word, result.stdout)


if __name__ == "__main__":
    unittest.main()
