#!/bin/sh
# Guest side, as root: inside.sh SHARED LAB TESTS…
#
# Runs TESTS of the lab at LAB twice, as root and as a user without rights, to whom a cgroup is
# delegated. Each run leaves a JUnit file in SHARED, the one folder that the host sees afterwards.
shared=$1 lab=$2
shift 2
tests=$*

cat /sys/fs/cgroup/cgroup.controllers >"$shared/controllers"

# The host's files once more, kept in the guest's memory once read: virtme-ng mounts them so that
# every look at one asks the host, and a Python that starts looks at hundreds.
mkdir /run/host
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose cached /run/host || exit 1

# over FOLDER PLACE: the host's FOLDER at PLACE; what is written there stays in memory.
over() {
    mkdir -p "/run/written$2/upper" "/run/written$2/work"
    chmod --reference="/run/host$1" "/run/written$2/upper"
    chown --reference="/run/host$1" "/run/written$2/upper"
    layers="lowerdir=/run/host$1,upperdir=/run/written$2/upper,workdir=/run/written$2/work"
    mount -t overlay -o "$layers" cached "$2" || exit 1
}

cp -a /lib/modules /run/modules # of this kernel; the host's own folder may not exist
over /usr /usr
mkdir -p /usr/lib/modules
cp -a /run/modules/. /usr/lib/modules
over "$lab" /mnt # whatever the host's path of the lab, and whoever may walk it
cd /mnt || exit 1

# A disk with a partition (a DOS partition table: from sector 8, 2,048 sectors) for tests to name;
# others make disks of their own.
modprobe -a loop tun ext4 # tun: what pasta makes its interfaces of
truncate -s 2M /run/disk
printf '\0\0\0\0\203\0\0\0\010\0\0\0\0\010\0\0' | dd of=/run/disk bs=1 seek=446 conv=notrunc status=none
printf '\125\252' | dd of=/run/disk bs=1 seek=510 conv=notrunc status=none
losetup --find --partscan /run/disk

# An ordinary file system for LAB_HOME: what overlayfs needs for its upper layer, 9p hasn't got.
# Nor has tmpfs before Linux 6.6, namely attributes called user.*; so ext4, on a disk in memory.
mkdir /run/lab-tests
truncate -s 900M /run/ext4
mkfs.ext4 -q /run/ext4
mount -o loop /run/ext4 /run/lab-tests
chmod 1777 /run/lab-tests

# delegate UID: move this shell into a cgroup of that user's, as systemd's user@UID.service is one.
delegate() {
    top=/sys/fs/cgroup/delegated
    mkdir -p "$top/tests"
    for folder in "$top/.." "$top"; do
        sed 's/[a-z]* */+&/g' "$folder/cgroup.controllers" >"$folder/cgroup.subtree_control"
    done
    while read -r file; do
        chown -f "$1:$1" "$top/$file" "$top/tests/$file"
    done </sys/kernel/cgroup/delegate
    chown "$1:$1" "$top" "$top/tests"
    echo $$ >"$top/tests/cgroup.procs"
}

run() { # run NAME COMMAND-PREFIX…
    name=$1
    shift
    mkdir -m 777 "$shared/$name" "/run/lab-tests/$name"
    here=/run/lab-tests/$name
    # shellcheck disable=SC2086 # the tests' names have no blanks
    "$@" env HOME="$here" TMPDIR="$here" XDG_DATA_HOME="$here" LAB_RUN="$here/run" \
        LAB_HOME="$here/home" LAB_TEST_PATIENCE=20 PYTHONPATH=/mnt \
        .venv/bin/python -m pytest -q -p no:cacheprovider -o timeout=300 \
        --junitxml="$shared/$name/junit.xml" $tests
    echo $? >"$shared/$name/status"
}

echo "as root:"
run root env

owner=$(stat -c %u /mnt)
if [ "$owner" = 0 ]; then owner=65534; fi # nobody
echo "as uid $owner:"
delegate "$owner"
if setpriv --reuid="$owner" --regid="$owner" --clear-groups test -r /mnt/.venv/bin/python; then
    run user setpriv --reuid="$owner" --regid="$owner" --clear-groups
else
    echo "uid $owner may not read the lab's folder" | tee "$shared/unreadable"
fi
