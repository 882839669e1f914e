#!/usr/bin/env bash
# A libvirtd of one's own: its network and the folders it writes to are in namespaces that go with it.
# There is no way out of this network: what works here works offline.
#
#   apart.sh FOLDER
#
# Runs until it is told to end; FOLDER/ready is there once the daemon answers.
set -euo pipefail

folder=$1

ip link set lo up
mkdir -p "$folder"/{lib,cache,etc} /etc/libvirt /var/lib/libvirt /var/cache/libvirt /run/libvirt
cat >"$folder/etc/qemu.conf" <<'END'
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
END
mount -t tmpfs tmpfs /run/libvirt
mount --bind "$folder/lib" /var/lib/libvirt
mount --bind "$folder/cache" /var/cache/libvirt
mount --bind "$folder/etc" /etc/libvirt
libvirtd --pid-file /run/libvirt/lab.pid &
trap 'kill $!; wait $!' EXIT
trap 'exit 0' TERM
until [[ -S /run/libvirt/libvirt-sock ]]; do sleep 0.1; done
touch "$folder/ready"
wait $!
