#!/usr/bin/env bash
# One server for a class: a lab user for each student, without root, each with a JupyterLab of their
# own on the server's loopback, and limited by a systemd slice. As root, on a machine that provision.sh
# has made the lab machine.
#
#   class.sh add NAME…      make them, and tell each one's port and token
#   class.sh list
#   class.sh remove NAME…   with all that they have made
#
#   LAB_STUDENT_MEM=2G      memory of all that a student runs (systemd.resource-control(5), MemoryMax)
#   LAB_STUDENT_CPUS=100%   processor time, of one processor (CPUQuota)
#   LAB_STUDENT_TASKS=1000  processes and threads (TasksMax)
set -euo pipefail

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
# shellcheck source=setup/stage.sh
source "$root/setup/stage.sh"
# shellcheck source=vagrant/student.sh
source "$root/vagrant/student.sh"

changed() { say "$*"; }

slice() { echo "/etc/systemd/system/user-$(id -u "$1").slice.d/lab.conf"; }

# No two users have the same.
port() { echo $((20000 + $(id -u "$1"))); }

check_names() {
    local name
    if [[ $# -eq 0 ]]; then give_up "class.sh: no names" "class.sh add anna ben"; fi
    for name in "$@"; do
        if [[ ! $name =~ ^[a-z][a-z0-9-]{0,30}$ ]]; then
            give_up "call a student \"$name\"" "small letters, digits and dashes, a letter first"
        fi
    done
}

add() {
    local name
    check_names "$@"
    for name in "$@"; do
        if id "$name" >/dev/null 2>&1 && [[ ! -e $(slice "$name") ]]; then
            give_up "make a student of $name: the user exists and is none" "another name"
        fi
    done
    for name in "$@"; do
        student_user "$name"
        limit "$name"
        student_lab_home "$name"
        as_student "$name" sh -c "echo $(port "$name") >.config/lab-port"
        student_jupyter "$name"
    done
    systemctl daemon-reload
    for name in "$@"; do systemctl start "user@$(id -u "$name").service"; done
    for name in "$@"; do student_wait_for_jupyter "$name" "$(port "$name")"; done
    list "$@"
}

limit() {
    mkdir -p "$(dirname "$(slice "$1")")"
    printf '[Slice]\nMemoryMax=%s\nCPUQuota=%s\nTasksMax=%s\n' "${LAB_STUDENT_MEM:-2G}" \
        "${LAB_STUDENT_CPUS:-100%}" "${LAB_STUDENT_TASKS:-1000}" >"$(slice "$1")"
}

students() {
    local file uid
    for file in /etc/systemd/system/user-*.slice.d/lab.conf; do
        if [[ ! -e $file ]]; then continue; fi
        uid=${file##*/user-}
        getent passwd "${uid%%.*}" | cut -d: -f1
    done
}

list() { # [NAME…]
    local name
    if [[ $# -eq 0 ]]; then
        # shellcheck disable=SC2046 # names hold no blanks
        set -- $(students)
    fi
    for name in "$@"; do
        echo "$name: ssh -L 8888:127.0.0.1:$(port "$name") $name@$(hostname), then" \
            "http://127.0.0.1:8888/lab?token=$(cat "$(student_home "$name")/.config/lab-token")"
    done
}

remove() {
    local name file
    check_names "$@"
    for name in "$@"; do
        if ! id "$name" >/dev/null 2>&1 || [[ ! -e $(slice "$name") ]]; then
            give_up "remove $name: no student of the class" "class.sh list"
        fi
    done
    for name in "$@"; do
        file=$(slice "$name")
        loginctl disable-linger "$name"
        systemctl stop "user-$(id -u "$name").slice"
        userdel --remove "$name" 2>/dev/null
        rm "$file"
        rmdir "$(dirname "$file")"
        say "removed $name"
    done
    systemctl daemon-reload
}

if [[ $EUID -ne 0 ]]; then give_up "manage a class: not root" "sudo $0"; fi
case ${1:-} in
    add | list | remove) "$@" ;;
    *) give_up "class.sh ${1:-}: no such verb" "class.sh add NAME…, list, remove NAME…" ;;
esac
