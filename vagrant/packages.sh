# shellcheck shell=bash
# shellcheck disable=SC2034 # shared with box/root.sh and provision.sh
# What the lab machine has beside the packages of setup/packages.sh.

# Every lab machine: sessions with a systemd of their own, and how the project comes into it.
session_packages=(dbus-user-session libpam-systemd sudo rsync)

# The project's own box, a whole system. The general kernel, for VirtualBox's disk and network card
# (AHCI, e1000), which the cloud kernel has no drivers for.
system_packages=(systemd-sysv systemd-resolved udev kmod linux-image-amd64 initramfs-tools zstd
    openssh-server ca-certificates netbase iproute2 iputils-ping procps less nano)
