"""What transfer_bench says and does when something is wrong."""

import os
import re
import signal
import socket
import subprocess
import time
import unittest

from te.bench.processes import (
    BENCH,
    PATIENCE,
    SHORT,
    SMALL,
    BenchTestCase,
    RunningInitiator,
    Target,
    environment,
    run,
    run_in_shell,
)


class TransferBenchErrorsTest(BenchTestCase):
    def test_an_initiator_tells_why_its_requests_failed(self):
        with Target("127.0.0.1") as target:
            with RunningInitiator(target) as initiator:
                self.assertEqual(target.end(signal.SIGKILL)[0], -signal.SIGKILL)
                status, out, err = initiator.finish()
        self.assertEqual(status, 1)
        self.assertRegex(err, rf"\d+ requests to segment {target.name} failed:")
        self.assertRegex(
            err, r"(?m)^  READ of 65536 bytes at offset \d+.*: [A-Z_]+: \w"
        )
        self.check_completed(out)
        self.assertRegex(out, r"(?m) [1-9]\d* errors$")

    def test_a_stopped_target_is_found_by_the_deadline(self):
        with Target("127.0.0.1") as target:
            # One that takes part in transfers.
            flags = ["--request_timeout=1", "--protocol=tcp"]
            with RunningInitiator(target, *flags) as initiator:
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
            (["--mode=target", "--metadata_server=etcd://h"], "--metadata_server: "),
            (["--protocol=udp"], "auto, rdma, shm, tcp"),
            (["--protocol=rdma", "--mtu=9000"], "--mtu: 9000 is no MTU of RDMA"),
            (["--protocol=rdma", "--device_name=,,"], "has an empty name in it"),
            (["--num_qp=0"], "--num_qp: "),
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
            (["--memory=gpu"], '--memory: "gpu" is no source of memory'),
            (["--format=xml"], "text|json"),
            (["--report_unit=TB"], "GB|GiB|Gb"),
            (["--report_precision=77"], "--report_precision"),
            (["--tcp_streams=0"], "--tcp_streams"),
            (["--slice_size=1"], "--slice_size"),
            (["--local_server_name=127.0.0.1:9000"], "--local_server_name: "),
            (["--mode=target", "--segment_id=h:1"], "--segment_id: "),
            (["--mode=target", "--local_server_name=eth77:0-5"], "--local_server_name: "),
            (["--mode=target", "--local_server_name=224.0.0.1"], "multicast"),
            (["--segment_id=127.0.0.1:0"], "--segment_id: "),
            (["--version"], "unknown flag"),
            (["--helpfull"], "unknown flag"),
            (["--helpshort"], "unknown flag"),
            (["--helpxml"], "unknown flag"),
            (["--helpon=flags"], "unknown flag"),
            (["--helpmatch=flags"], "unknown flag"),
            (["--flagfile=/nonexistent"], "unknown flag"),
            (["--log_dir=/nonexistent"], "--log_dir: "),
            (["--mode=target", "--ready_fd=77"], "--ready_fd: "),
            (["--mode=target", "--lifeline_fd=77"], "--lifeline_fd: "),
        ]
        for flags, why in cases:
            with self.subTest(flags=flags):
                self.check_fails_with_one_line(*flags, why=why)

    def test_bad_values_from_the_environment(self):
        for env, why in [
            ({"MC_LOG_DIR": "/nonexistent"}, "--log_dir (from MC_LOG_DIR): "),
            (
                {"MC_TCP_BIND_ADDRESS": "0.0.0.0"},
                "--local_server_name (from MC_TCP_BIND_ADDRESS): ",
            ),
            ({"MC_MAX_WR": "8"}, "--max_wr (from MC_MAX_WR): 8 is out of range"),
        ]:
            with self.subTest(env=env):
                self.check_fails_with_one_line("--mode=target", env=env, why=why)

    # Devices. Whatever this machine has, it has none of that name.

    def test_protocol_rdma_needs_the_devices_that_are_named(self):
        for mode in [["--mode=loopback"], ["--mode=target"], ["--segment_id=h:1"]]:
            with self.subTest(mode=mode):
                result = run(*mode, "--protocol=rdma", "--device_name=no_such_nic")
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertEqual(result.stdout, "")
                self.assertRegex(
                    result.stderr,
                    r"(?m)^transfer_bench: --device_name: 'no_such_nic' is neither "
                    r"an RDMA device nor a netdev of one",
                )

    @unittest.skipIf(
        os.path.isdir("/sys/class/infiniband") and os.listdir("/sys/class/infiniband"),
        "this machine has devices",
    )
    def test_protocol_rdma_without_a_device(self):
        result = run("--protocol=rdma")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertRegex(
            result.stderr,
            r"\Atransfer_bench: protocol rdma: there is no RDMA device that can be "
            r"used; found: .*\n\Z",
        )

    def test_flags_without_effect_are_logged(self):
        with Target("127.0.0.1", "--protocol=tcp", "--gid_index=3") as target:
            _, _, err = target.end(signal.SIGTERM)
        self.assertIn("--gid_index has no effect with --protocol=tcp", err)

    # Its output.

    def check_says_that_output_is_lost(self, result):
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(
            result.stderr, r"(?m)\Atransfer_bench: .*standard output.*\n\Z"
        )

    def test_lost_output_is_an_error(self):
        quiet = "--minloglevel=1"
        for flags in [
            [*SMALL, *SHORT, "--format=json"],
            [*SMALL, *SHORT],
            ["--help"],
            ["--mode=target", "--local_server_name=127.0.0.1", quiet],
        ]:
            for redirection in [">/dev/full", ">&-"]:
                with self.subTest(flags=flags, redirection=redirection):
                    self.check_says_that_output_is_lost(
                        run_in_shell(f'"$@" {redirection}', *flags)
                    )

    # Verifying.

    def test_a_verifying_reader_does_not_disturb_a_verifying_writer(self):
        with Target("127.0.0.1") as target:
            writes = ["--operation=write", "--verify"]
            with RunningInitiator(target, *writes) as writer:
                result = run(f"--segment_id={target.name}", "--verify", *SMALL, *SHORT)
                writer.process.send_signal(signal.SIGINT)
                _, out, err = writer.finish()
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, "FAILED_PRECONDITION: .* at offset [0-9]+ ")
        self.assertIn("another run is writing there", result.stderr)
        self.assertIn("every byte is where it belongs", out)
        self.assertIn("stopped by signal 2", err)

    # Connecting.

    def test_connecting_ends_after_the_flags_time(self):
        with Target("127.0.0.1") as target:
            target.process.send_signal(signal.SIGSTOP)
            begin = time.monotonic()
            result = run(f"--segment_id={target.name}", "--connect_timeout=0.2", *SMALL)
            self.assertLess(time.monotonic() - begin, 8)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"transfer_bench: peer {target.name}: ", result.stderr)

    def test_a_signal_ends_connecting(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            with subprocess.Popen(
                [
                    BENCH,
                    f"--segment_id=127.0.0.1:{silent.getsockname()[1]}",
                    "--connect_timeout=600",
                    *SMALL,
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment(),
                text=True,
            ) as process:
                silent.settimeout(PATIENCE)
                with silent.accept()[0]:
                    process.send_signal(signal.SIGINT)
                    err = process.communicate(timeout=PATIENCE)[1]
        self.assertEqual(process.returncode, 1)
        self.assertIn("transfer_bench: stopped by signal 2", err)

    def test_the_end_of_a_target_is_told_once(self):
        with Target("127.0.0.1") as target:
            with RunningInitiator(target) as initiator:
                self.assertEqual(target.end(signal.SIGTERM)[0], 0)
                status, _, err = initiator.finish()
        self.assertEqual(status, 1)
        self.assertNotIn("no buffer is registered", err)
        told = re.findall(r"(?m)^  READ of .*", err)
        self.assertLessEqual(len(told), 2, err)


if __name__ == "__main__":
    unittest.main()
