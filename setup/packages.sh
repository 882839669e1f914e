# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # root, log, lab_home are shared with setup.sh and its other parts
# The packages of the distribution: the smallest set that gives QEMU and libvirt's QEMU driver, what
# compiles libvirt's Python binding (it has no wheel), what base images and guests' disks are made
# with, what containers need of the host: nft, newuidmap, pasta, libseccomp; ip for what a lesson does
# by hand; what draws the book; and what the bench has do its work on disks.

apt_packages=(qemu-system-x86 libvirt-daemon-driver-qemu libvirt-dev pkg-config gcc libc6-dev
    busybox-static mmdebstrap debian-archive-keyring squashfs-tools-ng nftables uidmap passt iproute2
    libseccomp2 graphviz fio e2fsprogs)
apt_test_packages=(shellcheck kmod file runc # virtme-ng calls modprobe and file
    docker-registry apache2-utils openssl # a real registry, its passwords and certificates
    skopeo umoci buildah # read our images, and make images that we run
    golang-github-opencontainers-specs-dev # the schema of bundles, to hold our list of fields against
    crun podman docker.io bubblewrap systemd-container # subjects of the bench
    docker-cli # since Debian 13 apart from docker.io
    containerd # starts containers with labrt-oci
    syslinux mtools # a boot loader, and its disk
    libvirt-daemon  # another libvirt than the lab's own
    rdiff    # what of a VM's disk needs to travel
    chromium # opens the report
    vagrant vagrant-libvirt dnsmasq-base iptables # the lab machine, as a class starts it
    procps mount # ps and mount, which a small system may not have
    sudo dbus-user-session # what makes a host the lab machine, done to a copy of this one
    fdisk) # reads its table of partitions
apt_box_packages=(grub-pc-bin grub-common qemu-utils rsync) # ./lab box
apt_hub_packages=(node-configurable-http-proxy openssl) # JupyterHub's proxy; a certificate for it

dnf_packages=(qemu-system-x86-core libvirt-daemon-driver-qemu libvirt-devel pkgconf-pkg-config gcc
    python3-devel busybox squashfs-tools-ng nftables shadow-utils passt iproute libseccomp graphviz fio
    e2fsprogs kmod file ShellCheck chromium)
pacman_packages=(qemu-system-x86 libvirt pkgconf gcc python busybox squashfs-tools-ng nftables shadow passt
    iproute2 libseccomp graphviz fio e2fsprogs kmod file shellcheck chromium)
zypper_packages=(qemu-x86 libvirt-daemon-driver-qemu libvirt-devel pkg-config gcc python311-devel
    busybox-static squashfs-tools-ng nftables shadow passt iproute2 libseccomp2 graphviz fio
    e2fsprogs kmod file ShellCheck chromium)

# Print the distribution's families, nearest first: "ubuntu debian", "fedora", "arch", …
families() (
    # shellcheck source=/dev/null
    source /etc/os-release 2>/dev/null || true
    echo "${ID:-unknown} ${ID_LIKE:-}"
)

package_manager() {
    local family
    for family in $(families); do
        case $family in
            debian | ubuntu) echo apt ;;
            fedora | rhel | centos) echo dnf ;;
            arch) echo pacman ;;
            opensuse* | suse | sles) echo zypper ;;
            *) continue ;;
        esac
        return
    done
    echo unknown
}

# packages_current [test|box|hub]…: true if no package is missing, those of these too.
packages_current() { [[ -z $(packages_missing "$@") ]]; }

packages_missing() {
    case $(package_manager) in
        apt) apt_missing "$@" ;;
        dnf) each_missing "rpm -q --whatprovides" "${dnf_packages[@]}" ;;
        pacman) each_missing "pacman -Q" "${pacman_packages[@]}" ;;
        zypper) each_missing "rpm -q --whatprovides" "${zypper_packages[@]}" ;;
        *) echo "unknown" ;;
    esac
}

apt_missing() {
    local wanted=("${apt_packages[@]}") installed package more
    for more in "$@"; do
        case $more in
            test) wanted+=("${apt_test_packages[@]}" "${apt_box_packages[@]}") ;;
            box) wanted+=("${apt_box_packages[@]}") ;;
            hub) wanted+=("${apt_hub_packages[@]}") ;;
        esac
    done
    if ! venv_current; then
        # shellcheck disable=SC2207 # package names hold no blanks
        wanted+=($(python_packages))
    fi
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
    for package in "${wanted[@]}"; do
        if grep -qx "installed $package" <<<"$installed"; then continue; fi
        if [[ " ${apt_test_packages[*]} " == *" $package "* ]] && apt_lacks "$package"; then continue; fi
        echo "$package"
    done
}

# apt_lacks PACKAGE: whether this distribution hasn't got it, as Ubuntu has no vagrant, and chromium
# as a snap alone: then the tests that use it say so and skip. As long as no lists were fetched,
# nothing is known to be lacking.
apt_lacks() {
    [[ -n $(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -print -quit) ]] &&
        [[ $(LC_ALL=C apt-cache policy "$1") != *"Candidate: "[^\(]* ]]
}

each_missing() {
    local query=$1 package
    shift
    for package in "$@"; do
        if ! $query "$package" >/dev/null 2>&1; then echo "$package"; fi
    done
}

# Before any work: on another distribution say what to install, and stop.
packages_ask() {
    local manager missing
    manager=$(package_manager)
    missing=$(packages_missing "$@" | tr '\n' ' ')
    case $manager in
        apt) apt_ask "$missing" ;;
        dnf) give_up "missing packages: $missing" "sudo dnf install $missing" ;;
        pacman) give_up "missing packages: $missing" "sudo pacman -S --needed $missing" ;;
        zypper) give_up "missing packages: $missing" "sudo zypper install $missing" ;;
        *) other_distribution ;;
    esac
}

other_distribution() {
    say "this distribution is not one the lab knows; install what fits of these lists"
    say "  dnf install ${dnf_packages[*]}"
    say "  pacman -S --needed ${pacman_packages[*]}"
    say "  zypper install ${zypper_packages[*]}"
    exit 1
}

apt_ask() {
    if [[ $(dpkg --print-architecture) != amd64 ]]; then
        give_up "set up on $(dpkg --print-architecture)" "use a 64-bit PC (amd64); the lab's VM is one"
    fi
    if [[ $EUID -eq 0 ]]; then return; fi
    local remedy="ask an administrator for: apt-get install --no-install-recommends $1"
    if ! command -v sudo >/dev/null; then
        give_up "install $1: not root, and there is no sudo" "$remedy"
    fi
    # Ask for the password now: the stage's output goes to the log.
    if ! sudo -n true 2>/dev/null && ! { [[ -t 0 ]] && sudo -v; }; then
        give_up "install $1: sudo wants a password" "run ./lab setup on a terminal, or $remedy"
    fi
}

as_root() { if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi; }

packages_make() {
    # shellcheck disable=SC2207
    local missing=($(packages_missing "$@"))
    if apt_install "${missing[@]}"; then return; fi
    apt_update # the lists were missing or out of date
    # shellcheck disable=SC2207
    missing=($(packages_missing "$@")) # fresh lists may name another Python
    apt_install "${missing[@]}"
}

apt_update() { as_root apt-get update; }

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

# Run by root, libvirt starts QEMU as the user libvirt-qemu, and as nobody else. Debian makes that
# user in libvirt-daemon-system, which would also bring services and firewall rules; the lab's
# libvirt needs neither, so the user is made here, as Debian makes it.
qemu_user_current() {
    [[ $EUID -ne 0 ]] || getent passwd libvirt-qemu || getent passwd qemu
} >/dev/null

qemu_user_make() {
    local group
    for group in kvm libvirt-qemu; do
        getent group "$group" || groupadd --system "$group"
    done
    useradd --system --gid kvm --groups libvirt-qemu --no-create-home --home-dir /var/lib/libvirt \
        --shell /usr/sbin/nologin --comment "Libvirt Qemu" libvirt-qemu
}
