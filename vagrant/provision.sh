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
# shellcheck source=vagrant/student.sh
source "$root/vagrant/student.sh"
# shellcheck source=vagrant/hub/hub.sh
source "$root/vagrant/hub/hub.sh"

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

# Root's set-up makes .venv, and what the student's LAB_HOME begins with. It needs no verdict on KVM.
set_up() {
    local told with=()
    if hub_is_on; then with=(--hub); fi
    told=$(LAB_ACCEL=tcg bash "$root/setup/setup.sh" "${with[@]}" 2>&1 | tee /dev/stderr)
    if [[ $told != *"nothing to do" ]]; then changed "set up the lab"; fi
}

# Runs of the bench are the student's work: results/ of the project leads there.
results() {
    runuser -u student -- mkdir -p /home/student/work/results
    if [[ -L $root/results ]]; then return; fi
    ln -s /home/student/work/results "$root/results"
    changed "results are kept with the student's work"
}

services() {
    local unit
    for unit in lab-host-keys.service lab-door.socket; do
        if [[ $(systemctl is-enabled "$unit" 2>/dev/null) == enabled ]]; then continue; fi
        systemctl --quiet enable "$unit"
        changed "switched on $unit"
    done
}

# What has changed is to be what runs.
start() {
    if [[ $changes -gt 0 ]]; then
        systemctl daemon-reload
        systemctl try-restart systemd-networkd.service
        systemctl restart lab-door.socket
        loginctl enable-linger student
        systemctl restart "user@$(id -u student).service"
        if hub_is_on; then systemctl restart lab-hub.service; fi
    fi
    as_student student systemctl --user start lab-jupyter.service
    say "waiting for JupyterLab"
    student_wait_for_jupyter student 8888
}

packages
files
student_user student
set_up
student_lab_home student
results
student_lingers student
student_jupyter student
services
if [[ $building != --building ]]; then
    start
    as_student student lab setup
    as_student student lab doctor
fi
if [[ $changes -eq 0 ]]; then say "nothing to change"; fi
