"""te over the kernel's own RDMA: what it moves, and what it does when rails and
processes go away meanwhile."""

import contextlib
import json
import os
import re
import signal
import unittest

from te.rdma.lab.failure import LabFailure
from te.rdma.lab.lab_case import LabCase

CHECK = os.path.abspath("te/rdma/lab/transfer_check")
BENCH = os.path.abspath("te/bench/transfer_bench")

# Of the targets, in their virtual host.
PORT = 9000

# Seconds.
PATIENCE = 60

# A quarter of a second, so that a busy machine is no lost packet, and a number of
# repetitions that has an end: 7 has none on Soft-RoCE.
TIMEOUTS = "ack_timeout=16 retry_count=4"

# More than a rail moves that has connections and no data.
BUSY_BYTES = 1 << 20


class Target:
    """A transfer_check target on a host."""

    def __init__(self, host, settings=""):
        self.process = host.start(
            f"exec {CHECK} target {host.address}:{PORT} {TIMEOUTS} {settings}"
        )
        self.name = self.process.wait_for("^ready (.*)$").group(1)

    def finish(self):
        """The rounds of which it has bytes, the first and the last; all bytes are
        where they belong."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        found = self.process.wait_for(r"^intact, rounds (\d+) to (\d+)$")
        self.process.check()
        return int(found.group(1)), int(found.group(2))


class Initiator:
    """A transfer_check initiator on a host."""

    def __init__(self, host, segment, settings="", before="exec"):
        self.process = host.start(
            f"{before} {CHECK} initiator {host.address} {segment} {TIMEOUTS} {settings}"
        )

    def rounds(self):
        """How many it has done well."""
        return len(re.findall(r"(?m)^progress \d+$", self.process.out))

    def wait_for_rounds(self, more=1):
        """Until it has done so many more."""
        enough = self.rounds() + more
        self.process.host.wait_until(
            self.process,
            lambda: self.rounds() >= enough or self.process.status is not None,
            PATIENCE,
        )
        if self.rounds() < enough:
            raise LabFailure(f"it ended too early: {self.process}")

    def wait_for_failure(self):
        """Until a request has failed; why."""
        return self.process.wait_for("^request failed: (.*)$", PATIENCE).group(1)

    def failures(self):
        return re.findall(r"(?m)^request failed: .*$", self.process.out)

    def finish(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.process.check()


def sent_bytes(host, rail):
    file = f"/sys/class/net/{rail.interface}/statistics/tx_bytes"
    return int(host.run(f"cat {file}").out)


def wait_for_use(initiator, host, rail):
    """Until the rail moves data: at the latest after some rounds."""
    before = sent_bytes(host, rail)
    for _ in range(100):
        initiator.wait_for_rounds()
        if sent_bytes(host, rail) - before > BUSY_BYTES:
            return
    raise LabFailure(f"{rail.device} is not used: {initiator.process}")


@contextlib.contextmanager
def disturbed(hosts, rail, how):
    """The rail with this netem on what the hosts send."""
    try:
        for host in hosts:
            host.run(f"tc qdisc add dev {rail.interface} root netem {how}")
        yield
    finally:
        for host in hosts:
            host.run(f"tc qdisc del dev {rail.interface} root", check=False)


class RdmaTest(LabCase):
    def tearDown(self):
        for host in self.lab.hosts:
            host.run("pkill -9 -x transfer_check", check=False)

    # What is moved.

    def move(self, rails, family):
        index = self.a.gid_index(self.a.rails[0], getattr(self.a.rails[0], family))
        devices = ",".join(rail.device for rail in self.b.rails[:rails])
        settings = f"devices={devices} gid_index={index}"
        # Short requests go where they are done first, which may be one rail as long
        # as the CPU is what they wait for; long ones go wherever there is room.
        if rails > 1:
            settings += f" length={256 << 10}"
        target = Target(self.a, settings)
        before = [sent_bytes(self.b, rail) for rail in self.b.rails]
        initiator = Initiator(self.b, target.name, f"{settings} rounds=6")
        initiator.process.wait()
        initiator.process.check()
        self.assertEqual(initiator.rounds(), 6)
        self.assertEqual(target.finish(), (1, 6))
        after = [sent_bytes(self.b, rail) for rail in self.b.rails]
        for number, rail in enumerate(self.b.rails):
            used = after[number] - before[number] > BUSY_BYTES
            self.assertEqual(used, number < rails, initiator.process)
            if used:
                # The addresses of both ends, as they are logged.
                for end in [rail, self.a.rails[number]]:
                    address = getattr(end, family)
                    self.assertRegex(initiator.process.err, rf"GID {index} \S*{address}\)")

    def test_one_rail_ipv4(self):
        self.move(1, "ipv4")

    def test_one_rail_ipv6(self):
        self.move(1, "ipv6")

    def test_two_rails_ipv4(self):
        self.move(2, "ipv4")

    def test_two_rails_ipv6(self):
        self.move(2, "ipv6")

    def test_transfer_bench(self):
        flags = "--protocol=rdma --device_name=rxe0,rxe1 --buffer_size=4M"
        target = self.a.start(
            f"exec {BENCH} --mode=target {flags} --local_server_name={self.a.address} "
            "--ready_fd=3 3>&1"
        )
        name = target.wait_for(rf"^({self.a.address}:\d+)$").group(1)
        done = self.b.run(
            f"{BENCH} {flags} --local_server_name={self.b.address} --segment_id={name} "
            "--operation=mix --verify --block_size=64K --batch_size=16 --threads=1 "
            "--duration=0.5 --format=json"
        )
        row = json.loads(done.out)
        self.assertEqual((row["transport"], row["errors"]), ("rdma", 0))
        self.assertGreater(row["verified_bytes"], 0)
        target.send_signal(signal.SIGINT)
        self.assertEqual(target.wait(), 0, target)

    # What cannot work.

    def refused(self, settings, before="exec"):
        """Why an initiator with these does not begin."""
        process = Initiator(self.b, "10.0.0.1:1", settings, before).process
        self.assertEqual(process.wait(), 1, process)
        return process.wait_for("^failed: (.*)$").group(1)

    def test_a_device_that_does_not_exist(self):
        why = self.refused("devices=mlx5_7")
        self.assertRegex(why, "NOT_FOUND: .*mlx5_7")
        for rail in self.b.rails:
            self.assertIn(f"{rail.device} (port 1 ACTIVE on netdev {rail.interface})", why)

    def test_a_gid_index_that_does_not_exist(self):
        why = self.refused("devices=rxe0 gid_index=77")
        self.assertRegex(why, "NOT_FOUND: .*GID index 77 is not in the table of rxe0")
        self.assertIn(self.b.rails[0].ipv4, why)
        self.assertIn(self.b.rails[0].ipv6, why)

    def test_too_little_memory_may_be_locked(self):
        # As a user who has not root's right to lock any memory.
        why = self.refused(
            "devices=rxe0",
            "ulimit -l 64; exec setpriv --bounding-set=-ipc_lock --reuid=65534 "
            "--clear-groups",
        )
        self.assertRegex(why, "RESOURCE_EXHAUSTED: .*rxe0 cannot register 1048576 bytes")
        self.assertRegex(why, r"ulimit -l\) is 64 KiB: raise it")

    # Rails that fail.

    def lose_one_of_two(self, host):
        target = Target(self.a)
        initiator = Initiator(self.b, target.name)
        lost = host.rails[1]
        wait_for_use(initiator, self.b, self.b.rails[1])
        with host.unplugged(lost):
            initiator.wait_for_rounds(5)
        wait_for_use(initiator, self.b, self.b.rails[1])
        initiator.finish()
        self.assertEqual(initiator.failures(), [])
        target.finish()

    def test_one_of_two_rails_fails_here(self):
        self.lose_one_of_two(self.b)

    def test_one_of_two_rails_fails_at_the_peer(self):
        self.lose_one_of_two(self.a)

    def lose_only_one(self, loss):
        """Why the requests of the meantime have failed."""
        target = Target(self.a, "devices=rxe1")
        initiator = Initiator(self.b, target.name, "devices=rxe1 then=retry")
        initiator.wait_for_rounds(2)
        with loss:
            why = initiator.wait_for_failure()
        initiator.wait_for_rounds(2)
        initiator.finish()
        target.finish()
        return why

    def test_the_only_rail_fails_here(self):
        why = self.lose_only_one(self.b.unplugged(self.b.rails[1]))
        self.assertRegex(why, "UNAVAILABLE: .*: rxe1 port 1 is DOWN; is eth1 up")

    def test_the_only_rail_fails_at_the_peer(self):
        why = self.lose_only_one(self.a.unplugged(self.a.rails[1]))
        self.assertRegex(
            why, f"UNAVAILABLE: .*peer {self.a.address}:{PORT}: rxe1 port 1 is DOWN"
        )

    def test_the_only_wire_is_cut(self):
        ends = [host.rails[1] for host in self.lab.hosts]
        why = self.lose_only_one(disturbed(self.lab.hosts, ends[0], "loss 100%"))
        # Of what has broken, or of the last attempt to connect anew: which fails by
        # itself, is given up, or does not even find the neighbour any more, here or
        # at the peer.
        self.assertRegex(
            why,
            "UNAVAILABLE: .*(the peer does not acknowledge|has not answered in time"
            "|GID cannot be resolved)",
        )
        there, here = (re.escape(end.ipv4) for end in ends)
        peer = re.escape(f"peer {self.a.address}:{PORT}: ")
        self.assertRegex(why, f"::ffff:{there}|{peer}.*::ffff:{here}")

    def test_packets_get_lost(self):
        target = Target(self.a, "devices=rxe0")
        initiator = Initiator(self.b, target.name, "devices=rxe0 rounds=10")
        # The neighbours have found each other.
        initiator.wait_for_rounds()
        with disturbed(self.lab.hosts, self.a.rails[0], "loss 1%"):
            initiator.process.wait(2 * PATIENCE)
        initiator.process.check()
        self.assertEqual(target.finish(), (1, 10))

    # Processes that fail.

    def test_the_target_is_killed_and_another_has_its_address(self):
        target = Target(self.a)
        initiator = Initiator(self.b, target.name, "then=reopen")
        initiator.wait_for_rounds(2)
        target.process.kill()
        heir = Target(self.a)
        self.assertEqual(heir.name, target.name)
        round_then = int(
            initiator.process.wait_for(r"^reopened before (\d+)$", PATIENCE).group(1)
        )
        initiator.wait_for_rounds(2)
        initiator.finish()
        self.assertRegex(" ".join(initiator.failures()), "stale peer|UNAVAILABLE")
        # Nothing that was meant for its predecessor.
        self.assertGreaterEqual(heir.finish()[0], round_then)


if __name__ == "__main__":
    unittest.main()
