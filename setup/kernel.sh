# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # root, log, lab_home are shared with setup.sh and its other parts
# Kernels for virtual machines: the distribution's own packages, downloaded (apt checks signature
# and hash) and unpacked into LAB_HOME. Nothing is installed, nothing outside LAB_HOME is written.
#
#   kernels/cloud/  vmlinuz, release, modules/   what the lab's guests boot; LAB_KERNEL overrides
#   kernels/full/   boot/vmlinuz-…, lib/modules/…, release   what the pure cgroup v2 tests boot

# What the tests' kernel doesn't need, and is most of its size.
unneeded_modules=(sound drivers/{gpu,media,infiniband,iio,staging,usb,scsi,mtd,hwmon}
    drivers/net/{ethernet,wireless})

kernel_current() { # cloud|full
    if [[ $1 == cloud && -n ${LAB_KERNEL:-} ]]; then return; fi
    if [[ $1 == full && $(package_manager) != apt ]]; then return; fi # its tests say so and skip
    stamped "$lab_home/kernels/$1/made-from" "$(kernel_inputs "$1")"
}

kernel_inputs() { # cloud|full
    local files=("$root/setup/kernel.sh")
    if [[ $1 == cloud ]]; then files+=("$root/bench/guest_kernel.py"); fi # which modules it keeps
    cat "${files[@]}" | digest
}

kernel_ask() {
    if [[ $(package_manager) == apt ]]; then return; fi
    give_up "fetch a guest kernel: this distribution has no apt" \
        "name a kernel that you may read: LAB_KERNEL=/path/to/vmlinuz (a bzImage, as in /boot)"
}

# Downloaded and unpacked beside its place, moved into it whole.
kernel_make() { # cloud|full
    local new=$lab_home/kernels/.new-$1 place=$lab_home/kernels/$1
    rm -rf "$new"
    mkdir -p "$new/unpacked"
    kernel_download "$new" "$1"
    for package in "$new"/*.deb; do dpkg-deb -x "$package" "$new/unpacked"; done
    rm "$new"/*.deb
    mkdir "$new/kernel"
    "kernel_keep_$1" "$new/unpacked" "$new/kernel"
    kernel_inputs "$1" >"$new/kernel/made-from"
    chmod -R a+rX "$new/kernel" # QEMU may run as another user
    rm -rf "$place"
    mv "$new/kernel" "$place"
    rm -rf "$new"
}

# Debian's and Ubuntu's names for a small kernel for virtual machines, and for the general one.
kernel_package() {
    case $1,$(families) in
        cloud,ubuntu*) echo linux-image-virtual ;;
        cloud,*) echo linux-image-cloud-amd64 ;;
        full,ubuntu*) echo linux-image-generic ;;
        full,*) echo linux-image-amd64 ;;
    esac
}

# kernel_download FOLDER cloud|full: what the package depends on; where the lists are missing or
# name a version that the mirror has no more, fetch the lists and try once more.
kernel_download() {
    kernel_try_download "$@" && return
    apt_update
    kernel_try_download "$@"
}

kernel_try_download() {
    local image names
    image=$(apt-cache depends --important "$(kernel_package "$2")" |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    if [[ -z $image ]]; then return 1; fi
    names=("$image")
    # Ubuntu keeps the modules in a package of their own.
    if apt-cache show "${image/image/modules}" >/dev/null 2>&1; then
        names+=("${image/image/modules}")
    fi
    (cd "$1" && apt-get download "${names[@]}")
}

# kernel_modules FOLDER: where the package has its modules: since Debian 13 below /usr.
kernel_modules() {
    local tree
    for tree in "$1"/lib/modules/* "$1"/usr/lib/modules/*; do
        if [[ -d $tree ]]; then echo "$tree"; fi
    done
}

kernel_keep_cloud() { # FROM TO
    local tree release
    tree=$(kernel_modules "$1")
    release=${tree##*/}
    echo "$release" >"$2/release"
    cp "$1/boot/vmlinuz-$release" "$2/vmlinuz"
    mkdir "$2/modules"
    lab_python -m bench.guest_kernel "$tree" "$2/modules"
}

kernel_keep_full() { # FROM TO
    local tree release subsystem
    tree=$(kernel_modules "$1")
    release=${tree##*/}
    echo "$release" >"$2/release"
    for subsystem in "${unneeded_modules[@]}"; do rm -rf "$tree/kernel/$subsystem"; done
    mkdir -p "$2/boot" "$2/lib/modules"
    cp "$1/boot/vmlinuz-$release" "$2/boot/"
    mv "$tree" "$2/lib/modules/"
    PATH=$PATH:/usr/sbin:/sbin depmod --basedir "$2" "$release"
}
