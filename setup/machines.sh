# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # root, log, lab_home are shared with setup.sh and its other parts
# What the lab itself makes, once Python is there: the base image, and the verdict on KVM.

lab_python() { PYTHONPATH=$root "$root/.venv/bin/python" "$@"; }

# The image is made from the host's busybox and the lab's own files.
image_inputs() {
    { stat -c '%s %Y' /bin/busybox; cat "$root"/labrt/images/base/busybox.py "$root"/labrt/images/base/ready; } 2>&1 |
        digest
}

image_current() {
    [[ -d $lab_home/images ]] && stamped "$lab_home/stamps/image" "$(image_inputs)"
}

image_make() {
    lab_python -c 'from labrt.images import base; base.build("busybox")'
    image_inputs >"$lab_home/stamps/image"
}

# The verdict on KVM holds until the next boot, or another QEMU or guest. Every use of it checks that
# again (bench/accelerator.py); here it is asked for early, because a KVM that hangs takes a while.
accelerator_inputs() {
    {
        cat /proc/sys/kernel/random/boot_id
        stat -c '%s %Y' "$(command -v qemu-system-x86_64)"
        echo "${LAB_KERNEL:-}"
        cat "$root/bench/accelerator.py"
    } 2>&1 | digest
}

accelerator_current() {
    # Told already: by the user, or by the supervisor that we run under. Then nothing is kept.
    if [[ -n ${LAB_ACCEL:-}${LAB_KVM_HIDDEN:-} ]]; then return; fi
    [[ -e $lab_home/accelerator.json ]] &&
        stamped "$lab_home/stamps/accelerator" "$(accelerator_inputs)"
}

accelerator_make() {
    lab_python -c 'from bench import accelerator; print(accelerator.verdict())'
    accelerator_inputs >"$lab_home/stamps/accelerator"
}
