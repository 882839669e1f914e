#!/bin/sh
# Guest side, as root: inside.sh SHARED LAB TESTS…
#
# Runs TESTS of the lab at LAB twice, as root and as a user without rights. Each run leaves a JUnit
# file in SHARED, the one folder that the host sees afterwards.
shared=$1 lab=$2
shift 2
tests=$*

cat /sys/fs/cgroup/cgroup.controllers >"$shared/controllers"

# Whatever the host's path of the lab, and whoever may walk it, the guest has it at /mnt.
mount --bind "$lab" /mnt
cd /mnt || exit 1

# An ordinary file system for LAB_HOME: what overlayfs needs for its upper layer, 9p hasn't got.
mkdir /run/lab-tests
mount -t tmpfs -o mode=1777 tmpfs /run/lab-tests

run() { # run NAME COMMAND-PREFIX…
    name=$1
    shift
    mkdir -m 777 "$shared/$name" "/run/lab-tests/$name"
    here=/run/lab-tests/$name
    # shellcheck disable=SC2086 # the tests' names have no blanks
    "$@" env HOME="$here" TMPDIR="$here" XDG_DATA_HOME="$here" LAB_RUN="$here/run" \
        LAB_HOME="$here/home" PYTHONPATH=/mnt PYTHONDONTWRITEBYTECODE=1 \
        .venv/bin/python -m pytest -q -p no:cacheprovider -o timeout=300 \
        --junitxml="$shared/$name/junit.xml" $tests
    echo $? >"$shared/$name/status"
}

echo "as root:"
run root env

owner=$(stat -c %u /mnt)
if [ "$owner" = 0 ]; then owner=65534; fi # nobody
echo "as uid $owner:"
if setpriv --reuid="$owner" --regid="$owner" --clear-groups test -r /mnt/.venv/bin/python; then
    run user setpriv --reuid="$owner" --regid="$owner" --clear-groups
else
    echo "uid $owner may not read the lab's folder" | tee "$shared/unreadable"
fi
