#!/.guest/busybox sh
# shellcheck shell=dash
#
# Guest side. Process 1 of the virtual machine: does for the image's entry point what a container
# runtime does outside (mounts, environment, signals), then switches the machine off.
#
# Everything of ours is below /.guest, so that the image's own files stay as they are. /.guest/ttyS1
# is the second serial port: the entry point's standard input and output, and the way the marks
# reach the host. It stays open (descriptor 3) because opening a serial port costs time.
exec 3<>/.guest/ttyS1
echo lab:init >&3

guest=/.guest
bb=$guest/busybox

load() { # FOLDER
    for module in "$1"/*.ko; do
        name=${module##*/??-}
        if [ -e "$module" ] && ! [ -e "/sys/module/${name%.ko}" ]; then
            $bb insmod "$module"
        fi
    done
}

# The network card's address, and the way to whom it doesn't know.
connect() { # ADDRESS/PREFIX,GATEWAY
    load "$guest/network-modules"
    $bb ip link set lo up &&
        $bb ip address add "${1%,*}" dev eth0 &&
        $bb ip link set eth0 up &&
        $bb ip route add default via "${1#*,}"
}

$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
$bb cp -a "$guest"/dev/* /dev
$bb mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
$bb mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm

# The power button is two drivers: button.ko sees it, evdev.ko lets a program read it. Before the
# entry point, or a press right after the ready mark would be lost.
load "$guest/modules"
button=
for input in /sys/class/input/event*; do
    if [ -e "$input" ] && read -r name <"$input/device/name" && [ "$name" = "Power Button" ]; then
        button=/dev/input/${input##*/}
        exec 4<"$button" # before /dev moves
    fi
done

# A machine that has a card finds its address on the kernel's command line (bench/qemu.py).
if [ -e "$guest/network-modules" ]; then
    read -r line </proc/cmdline
    for word in $line; do
        case $word in
            --) break ;;
            lab.net=*) connect "${word#lab.net=}" || $bb poweroff -f ;; # the host sees it end
        esac
    done
fi

if ! [ -e "$guest/entrypoint" ]; then
    echo "lab: the image doesn't fit into this machine's RAM"
fi
enter_root=
if [ -e "$guest/disk-root" ]; then
    # shellcheck source=bench/guest_disk_root.sh
    . "$guest/disk-root" || exit # a kernel whose process 1 ends panics: the host sees it end
fi
if [ -e "$guest/scratch" ]; then
    # shellcheck source=bench/guest_scratch.sh
    . "$guest/scratch"
fi
$enter_root "$guest/entrypoint" "$@" <&3 >&3 2>&3 3>&- 4<&- &
entrypoint=$!

# Polite stop: the host presses the power button, the entry point gets SIGTERM, as in a container.
if [ -n "$button" ]; then
    {
        $bb dd of=/dev/null bs=24 count=1 <&4 2>/dev/null
        kill -TERM "$entrypoint"
    } 3>&- &
else
    echo "lab: no power button in this kernel: the machine can't be asked to stop"
fi

wait "$entrypoint"
echo "lab: the entry point ended with status $?"
$bb poweroff -f
