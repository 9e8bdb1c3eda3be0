"""Runs transfer_bench as its users do: as processes, with flags.

Ports are the system's choice, and every wait is for an event, with a deadline.
"""

import errno
import json
import os
import pty
import re
import select
import signal
import subprocess
import unittest

BENCH = os.path.abspath("te/bench/transfer_bench")

# Seconds; under sanitizers, and with other tests beside this one.
PATIENCE = 120

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

SMALL = ["--buffer_size=4M", "--block_size=64K", "--batch_size=4", "--threads=2"]
SHORT = ["--duration=0.1"]


def environment(extra=None):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MC_")}
    return {**kept, **(extra or {})}


def run(*flags, env=None):
    """The finished process, with its output as text."""
    return subprocess.run(
        [BENCH, *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(env),
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Target:
    """A target process; `name` is that of its segment."""

    def __init__(self, host, *flags):
        ready, theirs = os.pipe()
        self.process = subprocess.Popen(
            [
                BENCH,
                "--mode=target",
                "--metadata_server=p2p",
                f"--local_server_name={host}",
                "--buffer_size=4M",
                f"--ready_fd={theirs}",
                *flags,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            pass_fds=[theirs],
            text=True,
        )
        os.close(theirs)
        with os.fdopen(ready) as pipe:
            self.name = pipe.readline().strip()

    def end(self, number):
        """Sends the signal; exit status, stdout and stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class Terminal:
    """A terminal for a process to write to."""

    def __init__(self):
        self.fd, self.theirs = pty.openpty()
        self.text = ""

    def read(self):
        """Appends what comes next to `text`; False at the end."""
        if not select.select([self.fd], [], [], PATIENCE)[0]:
            raise TimeoutError(f"nothing came after: {self.text}")
        try:
            self.text += os.read(self.fd, 65536).decode()
        except OSError as error:
            if error.errno != errno.EIO:  # nobody has the other end open
                raise
            return False
        return True

    def close(self):
        os.close(self.fd)


class RunningInitiator:
    """An initiator of which the progress line says that bytes move."""

    def __init__(self, target, *flags):
        self.terminal = Terminal()
        self.process = subprocess.Popen(
            [BENCH, f"--segment_id={target.name}", *SMALL, "--duration=600", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.terminal.theirs,
            env=environment(),
            text=True,
        )
        os.close(self.terminal.theirs)
        moving = r"threads: [\d.]+ of 600\.0 s, (?!0\.00)"
        while not re.search(moving, self.terminal.text) and self.terminal.read():
            pass

    def finish(self):
        """Waits for its end; exit status, stdout and stderr."""
        while self.terminal.read():
            pass
        out = self.process.stdout.read()
        return self.process.wait(PATIENCE), out, self.terminal.text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.terminal.close()


class TransferBenchTest(unittest.TestCase):
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

    def check_completed(self, text):
        self.assertRegex(
            text,
            r"(?m)^Test completed: duration \d+\.\d\d, batch count [1-9]\d*, "
            r"throughput \d+\.\d\d GB/s$",
        )

    def check_fails_with_one_line(self, *flags, env=None, why):
        result = run(*flags, env=env)
        self.assertEqual(result.returncode, 2, flags)
        self.assertEqual(result.stdout, "", flags)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertRegex(result.stderr, "^transfer_bench: ", flags)
        self.assertIn(why, result.stderr)

    # Loopback.

    def test_loopback_with_its_defaults_verifies_and_prints_a_table(self):
        result = run("--duration=0.02")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        rows = re.findall(r"(?m)^tcp +(\w+) +(\d+ \w+) ", result.stdout)
        sizes = ["4 KiB", "16 KiB", "64 KiB", "256 KiB", "1 MiB", "4 MiB", "16 MiB"]
        self.assertEqual(
            rows, [("read", size) for size in sizes] + [("write", s) for s in sizes]
        )
        self.assertIn("every byte is where it belongs", result.stdout)
        self.check_completed(result.stdout)

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
                engines += b"served over tcp" in line
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
        self.assertEqual(len(rows), 16)
        self.assertEqual(rows[0]["transport"], "tcp")
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

    def test_sigterm_ends_a_target_well(self):
        with Target("127.0.0.1") as target:
            status, _, err = target.end(signal.SIGTERM)
        self.assertEqual(status, 0)
        self.assertIn("Received signal 15, stopping target server...", err)

    def test_a_signal_ends_an_initiator_with_what_it_has(self):
        with Target("127.0.0.1") as target:
            with RunningInitiator(target) as initiator:
                initiator.process.send_signal(signal.SIGINT)
                status, out, err = initiator.finish()
        self.assertEqual(status, 1)
        self.check_completed(out)
        self.assertIn("stopped by signal 2", err)

    # What goes wrong.

    def test_an_initiator_tells_why_its_requests_failed(self):
        with Target("127.0.0.1") as target:
            with RunningInitiator(target) as initiator:
                self.assertEqual(target.end(signal.SIGKILL)[0], -signal.SIGKILL)
                status, out, err = initiator.finish()
        self.assertEqual(status, 1)
        self.assertRegex(err, rf"\d+ requests to segment {target.name} failed:")
        self.assertRegex(
            err, r"worker \d: READ of 65536 bytes at offset \d+.*: [A-Z_]+: \w"
        )
        self.check_completed(out)
        self.assertRegex(out, r"(?m) [1-9]\d* errors$")

    def test_a_stopped_target_is_found_by_the_deadline(self):
        with Target("127.0.0.1") as target:
            with RunningInitiator(target, "--request_timeout=1") as initiator:
                target.process.send_signal(signal.SIGSTOP)
                status, _, err = initiator.finish()
        self.assertEqual(status, 1)
        self.assertIn("DEADLINE_EXCEEDED", err)

    def test_no_target_there(self):
        with Target("127.0.0.1") as target:
            target.end(signal.SIGKILL)
        result = run(f"--segment_id={target.name}", *SMALL, *SHORT)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "")
        self.assertIn(f"transfer_bench: peer {target.name}: ", result.stderr)

    def test_a_target_with_too_small_a_buffer(self):
        with Target("127.0.0.1") as target:
            result = run(f"--segment_id={target.name}", "--threads=1", *SHORT)
        self.assertEqual(result.returncode, 1)
        self.assertIn("the target's buffer has 4 MiB", result.stderr)

    def test_two_targets_at_one_port(self):
        with Target("127.0.0.1") as target:
            result = run("--mode=target", f"--local_server_name={target.name}")
        self.assertEqual(result.returncode, 1)
        self.assertIn(target.name.rsplit(":", 1)[1], result.stderr)

    def test_bad_flags(self):
        cases = [
            (["--no_such_flag"], "unknown flag"),
            (["stray"], "is no flag"),
            (["--duration"], "needs a value"),
            (["--threads=many"], "--threads"),
            (["--mode=server"], "target|initiator|loopback"),
            (["--mode=initiator"], "--segment_id"),
            (["--segment_id=nonsense::1:x"], "malformed address"),
            (["--segment_id=host"], "port"),
            (["--mode=target", "--local_server_name=a:b:c"], "malformed address"),
            (["--local_server_name=[::1"], "malformed address"),
            (["--mode=target", "--local_server_name=0.0.0.0"], "every address"),
            (["--mode=target", "--metadata_server=redis://h"], "redis://h"),
            (["--protocol=udp"], "auto|tcp|shm|rdma"),
            (["--protocol=rdma"], "auto, tcp"),
            (["--mode=target", "--protocol=shm"], "auto, tcp"),
            (["--operation=delete"], "read|write|mix"),
            (["--block_size=2G"], "buffer"),
            (["--block_size=1M", "--buffer_size=64K"], "buffer"),
            (["--block_size=0"], "--block_size"),
            (["--block_sizes=4K,oops"], "oops"),
            (["--batch_size=0"], "--batch_size"),
            (["--threads=0"], "--threads"),
            (["--thread_counts=1,0"], "--thread_counts"),
            (["--duration=0"], "--duration"),
            (["--duration=nan"], "--duration"),
            (["--format=xml"], "text|json"),
            (["--report_unit=TB"], "GB|GiB|Gb"),
            (["--report_precision=77"], "--report_precision"),
            (["--tcp_streams=0"], "--tcp_streams"),
            (["--slice_size=1"], "--slice_size"),
        ]
        for flags, why in cases:
            with self.subTest(flags=flags):
                self.check_fails_with_one_line(*flags, why=why)

    # Environment and help.

    def test_environment_variables(self):
        flags = [*SMALL, "--duration=0.02", "--operation=read"]
        result = run(
            *flags,
            env={"MC_SLICE_SIZE": "32768", "MC_GID_INDEX": "3", "MC_SLICE_SIZ": "1"},
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("MC_GID_INDEX has no effect: it is for rdma", lines[0])
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
