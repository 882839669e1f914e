# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # root, log, lab_home are shared with setup.sh and its other parts
# What the lab itself makes, once Python is there: the base image, and the verdict on KVM.

lab_python() { PYTHONPATH=$root "$root/.venv/bin/python" "$@"; }

# The image is made from the host's busybox and the lab's own files.
image_inputs() {
    { stat -c '%s %Y' /bin/busybox; cat "$root"/labrt/images/base.py "$root"/labrt/images/busybox/*; } 2>&1 |
        digest
}

image_current() {
    [[ -d $lab_home/images ]] && stamped "$lab_home/stamps/image" "$(image_inputs)"
}

image_make() {
    lab_python -c 'from labrt.images import base; base.build_busybox()'
    image_inputs >"$lab_home/stamps/image"
}

# The verdict holds for this kernel, this QEMU and this guest kernel.
accelerator_inputs() {
    {
        uname -r
        stat -c '%s %Y' "$(command -v qemu-system-x86_64)"
        echo "${LAB_KERNEL:-}"
        cat "$root/bench/accelerator.py"
    } 2>&1 | digest
}

accelerator_current() {
    [[ -e $lab_home/accelerator.json ]] &&
        stamped "$lab_home/stamps/accelerator" "$(accelerator_inputs)"
}

accelerator_make() {
    lab_python -m bench.supervisor -- "$root/.venv/bin/python" -m bench.accelerator
    accelerator_inputs >"$lab_home/stamps/accelerator"
}
