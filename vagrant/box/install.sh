#!/usr/bin/env bash
# Puts the lab into a root file system and makes it a machine that boots by itself; called by
# mmdebstrap when all packages are in. Nothing of this host's network stays in it.
#
#   install.sh ROOT WHEELS IMAGES
set -euo pipefail

project=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
root=$1 wheels=$2 images=$3

# Vagrant's well-known key, https://github.com/hashicorp/vagrant/tree/main/keys: by it `vagrant up`
# gets in the first time, and puts a new one of its own in its place.
insecure_key="ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ== vagrant insecure public key"

# What would only cost time at boot, or reach for the network unasked.
unwanted=(apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    dpkg-db-backup.timer systemd-networkd-wait-online.service systemd-pstore.service
    libvirtd.service libvirtd.socket virtlogd.socket virtlockd.socket systemd-binfmt.service)

inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 HOME=/root "$@"; }

copy_project() {
    mkdir "$root/opt/lab"
    rsync --archive --chown=root:root --exclude-from="$project/vagrant/not-synced" \
        "$project/" "$root/opt/lab/"
}

vagrant_user() {
    inside useradd --create-home --shell /bin/bash --comment "Vagrant" vagrant
    install -d -m 700 "$root/home/vagrant/.ssh"
    echo "$insecure_key" >"$root/home/vagrant/.ssh/authorized_keys"
    inside chown -R vagrant: /home/vagrant/.ssh
    echo "vagrant ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/vagrant"
    chmod 440 "$root/etc/sudoers.d/vagrant"
}

# The host's pip has downloaded everything (wheels.py), so the image needs neither its proxies nor its
# certificates.
provision() {
    rm -f "$root/etc/resolv.conf" # systemd-resolved's, which doesn't run here
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    mkdir "$root/var/tmp/wheels"
    mount --bind -o ro "$wheels" "$root/var/tmp/wheels"
    inside PIP_NO_INDEX=1 PIP_FIND_LINKS=/var/tmp/wheels PIP_NO_CACHE_DIR=1 \
        ${http_proxy:+http_proxy="$http_proxy"} /opt/lab/vagrant/provision.sh --building
    umount "$root/var/tmp/wheels"
    rmdir "$root/var/tmp/wheels"
    without_tests
}

# The tests of the largest libraries themselves: a tenth of .venv.
without_tests() {
    local packages=$root/opt/lab/.venv/lib/python3.11/site-packages
    find "$packages"/{matplotlib,numpy,pandas,pyarrow,scipy} -type d -name tests -prune \
        -exec rm -r {} +
}

load_images() {
    cp "$images" "$root/var/tmp/images.tar"
    inside runuser -u student -- env HOME=/home/student PYTHONPATH=/opt/lab \
        /opt/lab/.venv/bin/python -m labrt.cli load --input /var/tmp/images.tar
    rm "$root/var/tmp/images.tar"
}

system() {
    echo lab >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 lab\n::1 localhost\n' >"$root/etc/hosts"
    echo "LABEL=lab / ext4 errors=remount-ro,noinit_itable 0 1" >"$root/etc/fstab"
    inside systemctl --quiet enable systemd-networkd.service ssh.service
    inside systemctl --quiet set-default multi-user.target
    inside systemctl --quiet mask "${unwanted[@]}"
    inside systemctl --quiet enable serial-getty@ttyS0.service
    rm -f "$root"/etc/ssh/ssh_host_*
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
    : >"$root/etc/machine-id" # each machine draws its own
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/root/.cache
    find "$root/var/log" -type f -delete
}

trap 'umount "$root/var/tmp/wheels" 2>/dev/null || true' EXIT
copy_project
vagrant_user
provision
load_images
system
