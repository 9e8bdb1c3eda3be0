"""The first files of a virtual host: busybox, kernel modules, and init.sh."""

import os
import shlex
import stat
import sys

from te.rdma.lab.machine import find_program, missing

HERE = os.path.dirname(os.path.abspath(__file__))

# The name of the agent's virtio-serial port.
AGENT_PORT = "te.lab.agent"


class Archive:
    """A cpio archive as the kernel reads it: the "newc" format of
    Documentation/driver-api/early-userspace/buffer-format.rst."""

    def __init__(self):
        self.parts = []
        self.entries = 0

    def add(self, path, mode, data=b""):
        self.entries += 1
        name = path.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device, special device, name
        # length, checksum.
        fields = [self.entries, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self.parts += [self.padded(header + name), self.padded(data)]

    @staticmethod
    def padded(data):
        return data + b"\0" * (-len(data) % 4)

    def folder(self, path):
        self.add(path, stat.S_IFDIR | 0o755)

    def program(self, path, data):
        self.add(path, stat.S_IFREG | 0o755, data)

    def link(self, path, target):
        self.add(path, stat.S_IFLNK | 0o777, target.encode())

    def finish(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def read_busybox():
    data = read_file(find_program("busybox", "busybox-static"))
    # Where nothing else is yet, there is no dynamic linker.
    if b"/ld-linux" in data:
        raise missing("a busybox that is linked statically", "busybox-static")
    return data


def start_agent():
    """The shell command for init.sh: the Python that runs this, and the agent, are
    where they are on the machine."""
    agent = os.path.realpath(os.path.join(HERE, "agent.py"))
    command = ["chroot", "/root", sys.executable, "-I", "-S", agent, AGENT_PORT]
    return shlex.join(command).encode() + b"\n"


def build_initramfs(kernel):
    """For this kernel, as bytes."""
    archive = Archive()
    for folder in ["bin", "modules"]:
        archive.folder(folder)
    archive.program("bin/busybox", read_busybox())
    archive.link("bin/sh", "busybox")
    archive.program("init", read_file(os.path.join(HERE, "init.sh")))
    archive.program("start_agent", start_agent())
    for number, path in enumerate(kernel.module_files()):
        name = f"modules/{number:03}-{os.path.basename(path)}"
        archive.program(name, read_file(path))
    return archive.finish()
