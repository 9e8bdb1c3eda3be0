"""Two virtual hosts that are connected by Soft-RoCE rails."""

import contextlib
import ipaddress
import os
import socket

from te.rdma.lab.failure import LabFailure
from te.rdma.lab.initramfs import build_initramfs
from te.rdma.lab.machine import Kernel, check_host_programs, find_qemu
from te.rdma.lab.virtual_host import VirtualHost

# For RDMA MTU 4096 and the headers around it.
RAIL_MTU = 4200
MAX_RAILS = 8

# What the interfaces claim, for drivers that ask.
LINK_MBIT_PER_S = 10000

# Loglevel 5 shows oopses, which are warnings to the kernel.
KERNEL_OPTIONS = "console=ttyS0 loglevel=5 net.ifnames=0 oops=panic panic=-1"


def wire_name(index):
    return f"wire{index}"


class Rail:
    """One end of a rail: a network interface, its Soft-RoCE device, and what QEMU
    calls the wire."""

    def __init__(self, index, host_number):
        self.wire = wire_name(index)
        self.interface = f"eth{index}"
        self.device = f"rxe{index}"
        self.ipv4 = f"10.0.{index + 1}.{host_number}"
        self.ipv6 = f"fd00:{index + 1}::{host_number}"


class LabHost(VirtualHost):
    """One of the lab's two hosts. `rails` are its ends of the rails, `address` is
    its own on the network that is for everything else, `other` is the other host."""

    def __init__(self, name, number, rails, command, inherited_fds):
        super().__init__(name, command, inherited_fds)
        self.address = f"10.0.0.{number}"
        self.rails = [Rail(index, number) for index in range(rails)]
        self.other = None

    def set_up(self, mtu):
        """Names, addresses and RDMA devices."""
        management = f"eth{len(self.rails)}"
        commands = [
            "set -e",
            f"echo host-{self.name} > /proc/sys/kernel/hostname",
            # No wait for others who may have the same IPv6 address.
            "for conf in /proc/sys/net/ipv6/conf/*; do echo 0 > $conf/accept_dad; done",
            "ip link set lo up",
            f"ip link set {management} name mgmt",
            f"ip address add {self.address}/24 dev mgmt",
            "ip link set mgmt up",
        ]
        for rail in self.rails:
            commands += [
                f"ip link set {rail.interface} mtu {mtu} up",
                f"ip address add {rail.ipv4}/24 dev {rail.interface}",
                f"ip address add {rail.ipv6}/64 dev {rail.interface} nodad",
                f"rdma link add {rail.device} type rxe netdev {rail.interface}",
            ]
        self.run("\n".join(commands))

    def shape(self, rail, rate):
        """Lets the rail carry so much from this host, as `40mbit`, which must be less
        than the CPU can move for the link to be the limit. What is in flight waits in
        the queue: rdma programs need timeouts for that."""
        self.run(
            f"tc qdisc replace dev {rail.interface} root "
            f"tbf rate {rate} burst 64kb limit 16mb"
        )

    @contextlib.contextmanager
    def unplugged(self, rail):
        """Pulls the rail's cable at this host, for a while: its port goes down, and
        what either host sends is lost. The driver learns of it a little later."""
        try:
            self.tell_qemu("set_link", name=rail.wire, up=False)
            yield
        finally:
            self.tell_qemu("set_link", name=rail.wire, up=True)

    def gid_index(self, rail, address):
        """Of the address in the GID table of the rail's device."""
        ip = ipaddress.ip_address(address)
        if ip.version == 4:
            ip = ipaddress.ip_address(f"::ffff:{ip}")
        # Not the whole table, which has 1024 entries.
        found = self.run(
            f"cd /sys/class/infiniband/{rail.device}/ports/1/gids && "
            f"grep -lx {ip.exploded} {{0..31}}",
            check=False,
        )
        if found.status != 0:
            raise LabFailure(f"{rail.device} has no GID for {address}: {found}")
        return int(found.out)


class Lab:
    """Two virtual hosts, `a` and `b`, booted by the constructor, ended by close().

    `rails` rails connect them: eth0 of one with eth0 of the other, and so on, each a
    network of its own with Soft-RoCE devices rxe0... at both ends, IPv4 and IPv6. One
    more network, mgmt, without RDMA, is for control planes: it stays when rails are
    cut. A boot takes many seconds, so have one lab serve many tests, each of which
    leaves the hosts as it found them.

    Wires lose nothing, order is kept, and there are no ports or files of the machine
    that could be another's. `kernel` is a machine.Kernel, by default the newest.
    """

    def __init__(self, rails=2, cpus=1, memory_mib=1024, mtu=RAIL_MTU, kernel=None):
        if not 0 <= rails <= MAX_RAILS:
            raise LabFailure(f"{rails} rails: there can be 0 to {MAX_RAILS}")
        check_host_programs()
        kernel = kernel or Kernel.find()
        base = base_command(cpus, memory_mib)
        with contextlib.ExitStack() as inherited, contextlib.ExitStack() as undo:
            initramfs = memory_file(inherited, build_initramfs(kernel))
            base += boot_options(kernel, initramfs)
            wires = [
                [inherited.enter_context(end) for end in socket.socketpair()]
                for _ in range(rails + 1)
            ]
            hosts = []
            for number, name in enumerate("ab", 1):
                ends = [wire[number - 1].fileno() for wire in wires]
                command = base + interface_options(number, ends)
                host = LabHost(name, number, rails, command, [*ends, initramfs])
                undo.callback(host.close)
                hosts.append(host)
            self.a, self.b = self.hosts = hosts
            self.a.other, self.b.other = self.b, self.a
            for host in hosts:
                host.wait_for_boot()
            for host in hosts:
                host.set_up(mtu)
            self.undo = undo.pop_all()

    def wires_work(self):
        """Whether a ping comes through each, which takes two hosts that live."""
        addresses = [self.a.address, *(rail.ipv4 for rail in self.a.rails)]
        try:
            for address in addresses:
                self.b.run(f"busybox ping -c5 -W2 {address}")
        except LabFailure:
            return False
        return True

    def close(self):
        self.undo.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def memory_file(stack, data):
    """A file in memory alone with these bytes; its descriptor."""
    file = stack.enter_context(os.fdopen(os.memfd_create("initramfs"), "wb"))
    file.write(data)
    file.flush()
    return file.fileno()


def base_command(cpus, memory_mib):
    # KVM is rarely there for a machine that is itself virtual, so never used: what
    # runs here runs everywhere.
    return [
        find_qemu(),
        "-accel", "tcg,thread=multi",
        "-cpu", "max",
        "-smp", str(cpus),
        "-m", str(memory_mib),
        "-nodefaults",
        "-no-user-config",
        "-display", "none",
        "-no-reboot",
        # multidevs: the machine's file systems may use the same inode numbers.
        "-virtfs",
        "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap",
    ]


def boot_options(kernel, initramfs):
    return [
        "-kernel", kernel.image,
        "-initrd", f"/proc/self/fd/{initramfs}",
        "-append", KERNEL_OPTIONS,
    ]


def interface_options(host_number, ends):
    """The rails' first, so that they are eth0 and so on."""
    options = []
    for index, end in enumerate(ends):
        mac = f"52:54:00:00:{index:02x}:{host_number:02x}"
        options += [
            "-netdev", f"socket,id={wire_name(index)},fd={end}",
            "-device",
            f"virtio-net-pci,netdev={wire_name(index)},mac={mac},romfile=,"
            f"speed={LINK_MBIT_PER_S},duplex=full",
        ]
    return options
