#!/bin/sh
# The first process of a virtual host, run by busybox in its initramfs. Makes the
# machine's own root file system the host's: what the host writes there goes to its
# memory, and is gone with it. When the agent ends, so does the host.
set -eu

/bin/busybox --install -s /bin
mkdir -p /dev /proc /sys /shared /memory /root
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys

# The names give the order.
for module in /modules/*; do
  insmod "${module}"
done

mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose root /shared
mount -t tmpfs tmpfs /memory
mkdir /memory/changes /memory/work
mount -t overlay -o lowerdir=/shared,upperdir=/memory/changes,workdir=/memory/work \
  overlay /root
for folder in dev proc sys; do
  mount --move "/${folder}" "/root/${folder}"
done
mkdir -p /root/dev/shm /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs tmpfs /root/run

# shellcheck source=/dev/null
. /start_agent || echo "the agent: exit status $?"
poweroff -f
