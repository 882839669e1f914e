#!/usr/bin/env bash
# Before the kernel's package is configured: what its initramfs holds. Everything it would take for
# any computer (MODULES=most) is three times as large, and slow to unpack under emulation.
#
#   early.sh ROOT
set -euo pipefail

# The disks and buses of QEMU, libvirt and VirtualBox; ext4.
modules=(virtio_pci virtio_blk virtio_scsi ahci ata_piix mptspi nvme sd_mod ext4)

folder=$1/etc/initramfs-tools
mkdir -p "$folder/conf.d"
echo MODULES=list >"$folder/conf.d/lab"
printf '%s\n' "${modules[@]}" >"$folder/modules"
