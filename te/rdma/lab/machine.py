"""What the lab takes from the machine that it runs on: QEMU, a kernel, its modules.

All of it comes from Debian packages; what is missing is a LabFailure that names the
package.
"""

import glob
import os
import platform
import re
import shutil
import subprocess

from te.rdma.lab.failure import LabFailure

INSTALL = "tools/install_packages te/rdma/lab/debian_packages.txt"

# Where a user other than root may not look for programs.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

# In the order of loading; each has those before it that it needs.
MODULES = [
    "virtio_pci",
    "virtio_console",  # the agent's port
    "9pnet_virtio",
    "9p",
    "overlay",
    "virtio_net",
    # rdma_rxe needs it, but does not say so: adding a link fails with ENOENT.
    "crc32_generic",
    "sch_netem",
    "sch_tbf",
    "rdma_rxe",
    "ib_uverbs",
    "rdma_ucm",
]

# Programs for the virtual hosts, which have the machine's own files, by package.
HOST_PROGRAMS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "rdma": "iproute2",
    "ibv_devinfo": "ibverbs-utils",
    "ib_write_bw": "perftest",
}
PROVIDERS = "/etc/libibverbs.d/rxe.driver"


def missing(what, package):
    return LabFailure(
        f"{what} is missing: install the Debian package {package}, for example with "
        f"`{INSTALL}`"
    )


def find_program(name, package):
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        raise missing(name, package)
    return path


def check_host_programs():
    for name, package in HOST_PROGRAMS.items():
        find_program(name, package)
    if not os.path.exists(PROVIDERS):
        raise missing(PROVIDERS, "ibverbs-providers")


def version_key(version):
    """Orders 6.1.0-9 before 6.1.0-10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", version)]


def find_qemu():
    if platform.machine() != "x86_64":
        raise LabFailure(
            f"the lab runs on x86_64 only, and this machine is {platform.machine()}: "
            "its virtual hosts run the programs of the machine"
        )
    return find_program("qemu-system-x86_64", "qemu-system-x86")


class Kernel:
    """A kernel image and the modules of the same version."""

    def __init__(self, image):
        self.image = image
        self.version = os.path.basename(image).partition("-")[2]

    @staticmethod
    def find(boot="/boot"):
        """The newest of Debian's that has Soft-RoCE."""
        images = glob.glob(f"{boot}/vmlinuz-*")
        kernels = sorted(map(Kernel, images), key=lambda kernel: version_key(kernel.version))
        for kernel in reversed(kernels):
            if kernel.has_soft_roce() and os.access(kernel.image, os.R_OK):
                return kernel
        raise missing(f"a kernel {boot}/vmlinuz-* with the module rdma_rxe",
                      "linux-image-amd64")

    def has_soft_roce(self):
        pattern = "/lib/modules/{}/kernel/drivers/infiniband/sw/rxe/rdma_rxe.ko"
        return os.path.exists(pattern.format(self.version))

    def module_files(self):
        """The files of MODULES and of what they need, in the order of loading."""
        modprobe = find_program("modprobe", "kmod")
        files = []
        for module in MODULES:
            done = subprocess.run(
                [modprobe, "--show-depends", "-S", self.version, module],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
            )
            if done.returncode != 0:
                raise LabFailure(f"kernel {self.version}: {done.stdout.strip()}")
            files += re.findall(r"(?m)^insmod (\S+)", done.stdout)
        return list(dict.fromkeys(files))
