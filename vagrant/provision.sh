#!/usr/bin/env bash
# Makes a Debian machine the lab machine. In a box of ./lab box it was run when the box was built
# (with --offline), and finds next to nothing to do; in another box it does it all, from the network.
# Run again it changes nothing, and never touches what the student has made. Guest side, as root.
#
#   provision.sh              and start what is to run; at the end ./lab doctor
#   provision.sh --building   inside a root file system that nothing runs in yet
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
root=$(dirname "$here")
building=${1:-}

# shellcheck source=setup/stage.sh
source "$root/setup/stage.sh"
# shellcheck source=setup/python.sh
source "$root/setup/python.sh"
# shellcheck source=setup/packages.sh
source "$root/setup/packages.sh"
# shellcheck source=vagrant/packages.sh
source "$root/vagrant/packages.sh"

data=.local/share/vm-container-lab
student_home=/home/student
changes=0

changed() {
    say "$*"
    changes=$((changes + 1))
}

packages() {
    local package missing=()
    for package in "${session_packages[@]}"; do
        if ! dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed; then
            missing+=("$package")
        fi
    done
    if [[ ${#missing[@]} -eq 0 ]]; then return; fi
    apt_update
    apt_install "${missing[@]}"
    changed "installed ${missing[*]}"
}

# What guest/ holds is put where its path says.
files() {
    local file
    while read -r -d '' file; do
        if cmp --silent "$here/guest/$file" "/$file"; then continue; fi
        install -D --mode="$(stat -c %a "$here/guest/$file")" "$here/guest/$file" "/$file"
        changed "wrote /$file"
    done < <(cd "$here/guest" && find . -type f -printf '%P\0')
}

# 65,536 ids of the student's own for containers: newer useradd(8) gives them by itself.
student() {
    if ! id student >/dev/null 2>&1; then
        useradd --create-home --shell /bin/bash --comment "Student of the lab" student
        changed "made the user student"
    fi
    local kind
    for kind in uid gid; do
        if grep -q ^student: "/etc/sub$kind"; then continue; fi
        usermod "--add-sub${kind}s" 1879048192-1879113727 student
        changed "gave student sub$kind""s"
    done
    chmod 711 "$student_home" # containers' root walks through
}

# Root's set-up makes .venv, and what the student's LAB_HOME begins with. Root needs no verdict on KVM.
set_up() {
    if [[ $(LAB_ACCEL=tcg bash "$root/setup/setup.sh" 2>&1 | tee /dev/stderr) != *"nothing to do" ]]; then
        changed "set up the lab"
    fi
    local own=$student_home/$data
    if [[ ! -e $own ]]; then
        runuser -u student -- mkdir -p "$own/stamps"
        cp -r "/root/$data"/{kernels,images,.made-by-the-lab} "$own"
        cp "/root/$data/stamps/image" "$own/stamps"
        chown -R student: "$own"
        changed "gave student a LAB_HOME"
    fi
}

# Runs of the bench are the student's work: results/ of the project leads there.
results() {
    runuser -u student -- mkdir -p "$student_home/work/results"
    if [[ -L $root/results ]]; then return; fi
    ln -s "$student_home/work/results" "$root/results"
    changed "results are kept with the student's work"
}

# The student's manager runs from boot on, without a login (loginctl(1), enable-linger).
services() {
    local wants=$student_home/.config/systemd/user/default.target.wants
    if [[ ! -e /var/lib/systemd/linger/student ]]; then
        mkdir -p /var/lib/systemd/linger
        touch /var/lib/systemd/linger/student
        changed "let student's services run without a login"
    fi
    if [[ ! -L $wants/lab-jupyter.service ]]; then
        runuser -u student -- mkdir -p "$wants"
        runuser -u student -- ln -s /etc/systemd/user/lab-jupyter.service "$wants/"
        changed "switched on student's JupyterLab"
    fi
    local unit
    for unit in lab-host-keys.service lab-door.socket; do
        if [[ $(systemctl is-enabled "$unit" 2>/dev/null) == enabled ]]; then continue; fi
        systemctl --quiet enable "$unit"
        changed "switched on $unit"
    done
}

as_student() { runuser -u student -- env --chdir="$student_home" HOME="$student_home" \
    XDG_RUNTIME_DIR="/run/user/$(id -u student)" "$@"; }

# What has changed is to be what runs.
start() {
    if [[ $changes -gt 0 ]]; then
        systemctl daemon-reload
        systemctl try-restart systemd-networkd.service
        systemctl restart lab-door.socket
        loginctl enable-linger student
        systemctl restart "user@$(id -u student).service"
    fi
    as_student systemctl --user start lab-jupyter.service
    say "waiting for JupyterLab"
    # curl isn't there; the kernel tells who listens (8888 is 0x22B8; 0A: TCP_LISTEN; proc(5))
    local deadline=$((SECONDS + 300))
    until grep -qi '0100007F:22B8 00000000:0000 0A' /proc/net/tcp; do
        if [[ $SECONDS -ge $deadline ]]; then
            as_student journalctl --user --unit lab-jupyter.service --lines 20 --no-pager >&2 || true
            give_up "start JupyterLab: it doesn't listen after 300 s" \
                "in the machine: systemctl --user status lab-jupyter, as student"
        fi
        sleep 0.2
    done
}

packages
files
student
set_up
results
services
if [[ $building != --building ]]; then
    start
    as_student lab setup
    as_student lab doctor
fi
if [[ $changes -eq 0 ]]; then say "nothing to change"; fi
