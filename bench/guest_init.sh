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

$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev

# The power button is two drivers: button.ko sees it, evdev.ko lets a program read it. Before the
# entry point, or a press right after the ready mark would be lost.
for module in "$guest"/modules/*.ko; do
    if [ -e "$module" ]; then
        $bb insmod "$module"
    fi
done
button=
for input in /sys/class/input/event*; do
    if [ -e "$input" ] && read -r name <"$input/device/name" && [ "$name" = "Power Button" ]; then
        button=/dev/input/${input##*/}
    fi
done

$guest/entrypoint <&3 >&3 2>&3 3>&- &
entrypoint=$!

# Polite stop: the host presses the power button, the entry point gets SIGTERM, as in a container.
if [ -n "$button" ]; then
    {
        $bb dd if="$button" of=/dev/null bs=24 count=1 2>/dev/null
        kill -TERM "$entrypoint"
    } 3>&- &
else
    echo "lab: no power button in this kernel: the machine can't be asked to stop"
fi

wait "$entrypoint"
echo "lab: the entry point ended with status $?"
$bb poweroff -f
