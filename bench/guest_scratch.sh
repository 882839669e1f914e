# shellcheck shell=dash
# shellcheck disable=SC2154 # guest and bb are shared with guest_init.sh
#
# Guest side, sourced by guest_init.sh: the disk to write to (bench/scratch.py), known by its serial
# number; its drivers are loaded. The entry point's root is the working directory, wherever the image
# is. Without the disk the entry point must not begin: it would write to RAM.
for disk in sys/block/vd*; do
    serial=
    read -r serial <"$disk/serial" # without an end of line, so not "&&"
    if [ "$serial" = scratch ]; then
        $bb mkdir -p scratch && $bb mount -t ext4 "dev/${disk##*/}" scratch && return
    fi
done
echo "lab: no disk to write to"
exit # a kernel whose process 1 ends panics: the host sees it end
