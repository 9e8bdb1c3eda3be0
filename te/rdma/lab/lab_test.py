"""The lab itself: its rails, what can be done to them, and how failures show."""

import contextlib
import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import unittest

from te.rdma.lab.failure import LabFailure
from te.rdma.lab.lab import Lab
from te.rdma.lab.lab_case import LabCase
from te.rdma.lab.machine import Kernel, find_program
from te.rdma.lab.perftest import run_on_all_rails, run_perftest
from te.rdma.lab.run import parse_options, run_commands

BENCH = os.path.abspath("te/bench/transfer_bench")

# Seconds for processes of this machine.
PATIENCE = 60


def port_state(host, rail):
    state = f"/sys/class/infiniband/{rail.device}/ports/1/state"
    return host.run(f"cat {state}").out.strip()


def wait_for_port_state(host, rail, state):
    """The driver learns of the interface's state a little later."""
    file = f"/sys/class/infiniband/{rail.device}/ports/1/state"
    host.run(f"until grep -q {state} {file}; do sleep 0.02; done")


def received_packets(host, rail):
    file = f"/sys/class/net/{rail.interface}/statistics/rx_packets"
    return int(host.run(f"cat {file}").out)


def reach(host, address):
    """Until the address answers, or the deadline of a command: a neighbour may have
    to be found first, and a busy machine may be slow."""
    host.run(f"until busybox ping -c1 -W1 {address}; do :; done")


def ping(host, address, count):
    """The part of the packets that came back."""
    command = f"busybox ping -c{count} -i0.05 -W1 {address}"
    out = host.run(command, check=False).out
    match = re.search(r"(\d+) packets transmitted, (\d+) packets received", out)
    return int(match.group(2)) / int(match.group(1))


class LabTest(LabCase):
    # Rails.

    def test_devices_are_active_and_have_gids_of_both_families(self):
        for host in self.lab.hosts:
            self.assertEqual(len(host.rails), 2)
            for rail in host.rails:
                self.assertEqual(port_state(host, rail), "4: ACTIVE")
                indices = [host.gid_index(rail, a) for a in [rail.ipv4, rail.ipv6]]
                self.assertEqual(len(set(indices)), 2)
                types = f"/sys/class/infiniband/{rail.device}/ports/1/gid_attrs/types"
                for index in indices:
                    found = host.run(f"cat {types}/{index}").out
                    self.assertEqual(found, "RoCE v2\n")
            with self.assertRaisesRegex(LabFailure, "rxe0 has no GID for 10.9.9.9"):
                host.gid_index(host.rails[0], "10.9.9.9")

    def test_hosts_reach_each_other_over_every_network(self):
        for host in self.lab.hosts:
            addresses = [host.other.address]
            for rail in host.other.rails:
                addresses += [rail.ipv4, rail.ipv6]
            for address in addresses:
                reach(host, address)

    def test_perftest_moves_bytes_over_each_rail(self):
        for rail, family in [(0, "ipv4"), (1, "ipv4"), (0, "ipv6")]:
            for program in ["ib_write_bw", "ib_read_bw"]:
                figures = run_perftest(
                    self.lab, program, 65536, 100, depth=16, rail=rail, family=family
                )
                self.assertGreater(figures["gb_per_s"], 0)

    def test_perftest_measures_latency(self):
        for program in ["ib_write_lat", "ib_read_lat"]:
            figures = run_perftest(self.lab, program, 4096, 50)
            self.assertGreater(figures["p50"], 0)
            self.assertGreaterEqual(figures["p50"], figures["min"])

    def test_a_failed_perftest_says_why(self):
        with self.assertRaisesRegex(LabFailure, "(?s)ib_write_bw.*exit status"):
            # More than the device's queue can hold.
            run_perftest(self.lab, "ib_write_bw", 64, 10**6, depth=10**6)

    def test_a_cable_is_pulled_and_plugged_in_again(self):
        cut, kept = self.a.rails[1], self.a.rails[0]
        addresses = [cut.ipv4, cut.ipv6]
        before = [self.a.gid_index(cut, address) for address in addresses]
        reach(self.b, cut.ipv4)
        with self.a.unplugged(cut):
            wait_for_port_state(self.a, cut, "DOWN")
            heard = received_packets(self.a, cut)
            self.assertEqual(ping(self.b, cut.ipv4, count=50), 0)
            self.assertEqual(port_state(self.a, kept), "4: ACTIVE")
            reach(self.b, kept.ipv4)
            reach(self.b, self.a.address)
        wait_for_port_state(self.a, cut, "ACTIVE")
        reach(self.b, cut.ipv4)
        # What was sent meanwhile has not waited in the wire.
        self.assertLess(received_packets(self.a, cut) - heard, 50)
        reach(self.b, cut.ipv6)
        after = [self.a.gid_index(cut, address) for address in addresses]
        self.assertEqual(before, after)

    def test_a_rail_loses_packets(self):
        lossy = self.a.rails[1]
        self.a.run(f"tc qdisc add dev {lossy.interface} root netem loss 50%")
        try:
            reach(self.b, lossy.ipv4)
            part = ping(self.b, lossy.ipv4, count=40)
        finally:
            self.a.run(f"tc qdisc del dev {lossy.interface} root")
        # Each of these has a probability of 10^-11.
        self.assertGreater(part, 0)
        self.assertLess(part, 1)
        reach(self.b, lossy.ipv4)

    def test_two_slow_rails_are_used_at_once(self):
        rails = [rail for host in self.lab.hosts for rail in host.rails]
        hosts = [host for host in self.lab.hosts for _ in host.rails]
        for host, rail in zip(hosts, rails):
            host.shape(rail, "40mbit")
        try:
            figures = run_on_all_rails(self.lab, "ib_write_bw", 65536, 50, depth=16)
        finally:
            for host, rail in zip(hosts, rails):
                host.run(f"tc qdisc del dev {rail.interface} root")
        # A rail lets 0.005 GB/s pass, after a burst.
        self.assertGreater(figures, 0)
        self.assertLess(figures, 2 * 0.006)

    # Processes.

    def test_exit_status_and_output(self):
        done = self.a.run("echo to-stdout; echo to-stderr >&2; exit 3", check=False)
        self.assertEqual(done.status, 3)
        self.assertEqual(done.out, "to-stdout\n")
        self.assertEqual(done.err, "to-stderr\n")
        with self.assertRaisesRegex(
            LabFailure, "(?s)host b: `echo why; false`: exit status 1.*why"
        ):
            self.b.run("echo why; false")

    def test_a_process_is_killed_with_what_it_started(self):
        process = self.a.start("sleep 1000 & echo started $!; wait")
        child = process.wait_for(r"^started (\d+)$").group(1)
        self.assertIsNone(process.status)
        self.assertEqual(process.kill(), -9)
        self.assertNotEqual(self.a.run(f"kill -0 {child}", check=False).status, 0)
        self.assertEqual(process.kill(), -9, "it is too late for a signal")

    def test_all_that_is_waited_for_has_a_deadline(self):
        process = self.b.start("echo begun; sleep 1000")
        process.wait_for("^begun$")
        with self.assertRaisesRegex(LabFailure, "(?s)not done within 0.1 s.*begun"):
            process.wait(0.1)
        with self.assertRaisesRegex(LabFailure, "not printed 'more' within 0.1 s"):
            process.wait_for("more", 0.1)
        process.kill()
        with self.assertRaisesRegex(LabFailure, "ended without printing 'more'"):
            process.wait_for("more")

    def test_much_output_comes_whole_and_in_order(self):
        text = self.a.run("seq 100000").out
        self.assertEqual(text.split(), [str(n) for n in range(1, 100001)])

    def run_one_command(self, *flags):
        """As `run` does in a lab of its own: the result, stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            well = run_commands(self.lab, parse_options(flags))
        return well, out.getvalue(), err.getvalue()

    def test_one_command_runs_programs_on_both_hosts(self):
        well, out, err = self.run_one_command(
            "--host_a=echo one; echo two", "--host_b=printf unfinished; exit 4"
        )
        self.assertFalse(well)
        self.assertEqual(
            sorted(out.splitlines()), ["a: one", "a: two", "b: unfinished"]
        )
        self.assertEqual(err, "a: exit status 0\nb: exit status 4\n")

    def test_one_command_ends_with_one_of_the_programs(self):
        well, out, err = self.run_one_command(
            "--host_a=exec busybox nc -ll -p 9001 -e echo served",
            "--host_b=busybox nc 10.0.0.1 9001 < /dev/null",
            "--port=9001",
            "--end_with=b",
        )
        self.assertEqual((well, out), (True, "b: served\n"), err)
        self.assertEqual(err, "a: killed\nb: exit status 0\n")

    def test_hosts_see_the_files_of_the_machine_and_write_their_own(self):
        path = os.path.abspath(__file__)
        self.a.run(f"cmp {path} {path} && mkfifo $(mktemp -d)/fifo")
        self.a.run("echo mine > /etc/te_lab_test")
        self.assertFalse(os.path.exists("/etc/te_lab_test"))
        found = self.b.run("cat /etc/te_lab_test", check=False)
        self.assertNotEqual(found.status, 0)

    # te.

    def test_transfer_bench_runs_between_the_hosts(self):
        flags = "--metadata_server=p2p --buffer_size=4M"
        target = self.a.start(
            f"exec {BENCH} --mode=target {flags} --local_server_name={self.a.address} "
            "--ready_fd=3 3>&1"
        )
        name = target.wait_for(rf"^({self.a.address}:\d+)$").group(1)
        done = self.b.run(
            f"{BENCH} {flags} --local_server_name={self.b.address} --segment_id={name} "
            "--operation=mix --verify --block_size=64K --batch_size=4 --threads=1 "
            "--duration=0.5 --format=json"
        )
        row = json.loads(done.out)
        self.assertEqual(row["errors"], 0)
        self.assertGreater(row["verified_bytes"], 0)
        target.send_signal(2)
        self.assertEqual(target.wait(), 0, target)


class FailureTest(unittest.TestCase):
    """How it shows that something is wrong with a host."""

    def test_a_package_that_is_missing(self):
        with self.assertRaisesRegex(
            LabFailure, "te-none is missing: install the Debian package te-package"
        ):
            find_program("te-none", "te-package")

    def test_a_kernel_that_does_not_exist(self):
        with self.assertRaisesRegex(LabFailure, "kernel 0.0.0-none: modprobe"):
            Lab(kernel=Kernel("/boot/vmlinuz-0.0.0-none"))
        with self.assertRaisesRegex(LabFailure, "package linux-image-amd64"):
            Kernel.find(boot="/nowhere")

    def test_a_boot_that_fails_shows_the_console(self):
        kernel = Kernel.find()
        kernel.module_files = lambda: []
        with self.assertRaisesRegex(LabFailure, "(?s)host a has ended.*Kernel panic"):
            Lab(rails=0, kernel=kernel)

    def test_an_image_that_is_no_kernel(self):
        kernel = Kernel.find()
        kernel.image = os.path.abspath(__file__)
        with self.assertRaisesRegex(LabFailure, "(?s)host a has ended.*kernel"):
            Lab(rails=0, kernel=kernel)

    def test_an_oops_ends_what_waits_and_shows_the_console(self):
        with Lab(rails=0) as lab:
            self.assertTrue(lab.wires_work())
            waiting = lab.a.start("sleep 1000")
            lab.a.start("echo c > /proc/sysrq-trigger")
            with self.assertRaisesRegex(LabFailure, "(?s)sleep.*sysrq triggered crash"):
                waiting.wait()
            with self.assertRaisesRegex(LabFailure, "host a has ended"):
                lab.a.run("true")
            self.assertEqual(lab.b.run("echo alive").out, "alive\n")
            self.assertFalse(lab.wires_work())

    def test_what_qemu_refuses_or_does_not_hear_any_more(self):
        with Lab(rails=0) as lab:
            with self.assertRaisesRegex(LabFailure, "a: QEMU refuses .*wire9.*not found"):
                lab.a.tell_qemu("set_link", name="wire9", up=False)
            lab.a.qemu.kill()
            lab.a.qemu.wait()
            with self.assertRaisesRegex(
                LabFailure, "(?s)host a: QEMU does not answer to set_link.*console"
            ):
                lab.a.tell_qemu("set_link", name="wire0", up=False)

    def test_hosts_end_with_the_process_that_made_them(self):
        script = """
            import sys
            from te.rdma.lab.virtual_host import VirtualHost
            # What starts QEMU starts any program.
            host = VirtualHost("x", ["sh", "-c", "echo up; exec sleep 1000"], [])
            host.wait_until("up", lambda: "up" in host.console, 60)
            print(host.qemu.pid, flush=True)
            sys.stdin.read()
        """
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with child:
            qemu = int(child.stdout.readline())
            with os.fdopen(os.pidfd_open(qemu)) as end:
                child.kill()
                ended = select.select([end], [], [], PATIENCE)[0]
            if not ended:
                os.kill(qemu, signal.SIGKILL)
        self.assertTrue(ended)


if __name__ == "__main__":
    unittest.main()
