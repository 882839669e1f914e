# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034 # guest, bb and enter_root are shared with guest_init.sh
#
# Guest side, sourced by guest_init.sh: the image is on a disk. Below, the disk, read-only; above,
# what the guest writes, in its RAM; together they are the root of the entry point, as a container's
# layers are.
load "$guest/disk-modules"
{
    $bb mount -t squashfs -o ro /dev/vda /disk &&
        $bb mount -t tmpfs tmpfs /writable &&
        $bb mkdir /writable/upper /writable/work &&
        $bb mount -t overlay -o lowerdir=/disk,upperdir=/writable/upper,workdir=/writable/work \
            overlay /root &&
        $bb mkdir -p /root/proc /root/sys /root/dev "/root$guest" &&
        $bb mount --bind "$guest" "/root$guest"
} || return
for folder in /proc /sys /dev; do
    $bb mount --move "$folder" "/root$folder"
done

# As switch_root(8), for a process whose root isn't that of its mount namespace may make no user
# namespace. Process 1 alone keeps the initramfs as its root; the new one is where it stands.
cd /root && $bb mount --move . / && enter_root="$bb chroot ."
