#!/usr/bin/env bash
# One server for a class: a lab user for each student, without root, limited by a systemd slice. Each
# has a JupyterLab of their own on the server's loopback, reached by ssh; or JupyterHub lets all of them
# in at one address. As root, on a machine that provision.sh has made the lab machine.
#
#   class.sh add NAME…      make them, and tell each one's way in
#   class.sh list
#   class.sh remove NAME…   with all that they have made
#   class.sh hub [off]      JupyterHub; off: by ssh again
#
#   LAB_STUDENT_MEM=2G      memory of all that a student runs (systemd.resource-control(5), MemoryMax)
#   LAB_STUDENT_CPUS=100%   processor time, of one processor (CPUQuota)
#   LAB_STUDENT_TASKS=1000  processes and threads (TasksMax)
#   LAB_HUB_ADDRESS=127.0.0.1   where JupyterHub listens; anywhere else than there, by TLS alone
#   LAB_HUB_PORT=8000
#   LAB_HUB_CERT=FILE, LAB_HUB_KEY=FILE   this server's own; else they are made, and no browser knows them
set -euo pipefail

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
# shellcheck source=setup/stage.sh
source "$root/setup/stage.sh"
# shellcheck source=vagrant/student.sh
source "$root/vagrant/student.sh"
# shellcheck source=vagrant/hub/hub.sh
source "$root/vagrant/hub/hub.sh"

class=lab-class # the group of those who are in it

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
        if id "$name" >/dev/null 2>&1 && ! in_class "$name"; then
            give_up "make a student of $name: the user exists and is none" "another name"
        fi
    done
    groupadd --system --force "$class"
    for name in "$@"; do
        student_user "$name"
        usermod --append --groups "$class" "$name"
        limit "$name"
        student_lab_home "$name"
        as_student "$name" sh -c "echo $(port "$name") >.config/lab-port"
        student_lingers "$name"
    done
    systemctl daemon-reload
    for name in "$@"; do systemctl start "user@$(id -u "$name").service"; done
    if hub_is_on; then by_hub "$@"; else by_ssh "$@"; fi
    list "$@"
}

in_class() { [[ " $(id -nG "$1" 2>/dev/null) " == *" $class "* ]]; }

limit() {
    mkdir -p "$(dirname "$(slice "$1")")"
    printf '[Slice]\nMemoryMax=%s\nCPUQuota=%s\nTasksMax=%s\n' "${LAB_STUDENT_MEM:-2G}" \
        "${LAB_STUDENT_CPUS:-100%}" "${LAB_STUDENT_TASKS:-1000}" >"$(slice "$1")"
}

students() { getent group "$class" | cut -d : -f 4 | tr , '\n' | sed '/^$/d'; }

# A JupyterLab each, that always runs.
by_ssh() { # NAME…
    local name
    for name in "$@"; do student_jupyter "$name"; done
    for name in "$@"; do as_student "$name" systemctl --user start lab-jupyter.service; done
    for name in "$@"; do student_wait_for_jupyter "$name" "$(port "$name")"; done
}

# One when it is asked for, by who has a password.
by_hub() { # NAME…
    local name
    for name in "$@"; do
        as_student "$name" systemctl --user --quiet disable --now lab-jupyter.service
        hub_password "$name"
    done
}

list() { # [NAME…]
    local name
    # shellcheck disable=SC2046 # names hold no blanks
    if [[ $# -eq 0 ]]; then set -- $(students); fi
    for name in "$@"; do
        if hub_is_on; then
            echo "$name: $(hub_address "$name")"
        else
            echo "$name: ssh -L 8888:127.0.0.1:$(port "$name") $name@$(hostname), then" \
                "http://127.0.0.1:8888/lab?token=$(cat "$(student_home "$name")/.config/lab-token")"
        fi
    done
}

remove() {
    local name file
    check_names "$@"
    for name in "$@"; do
        if ! in_class "$name"; then
            give_up "remove $name: no student of the class" "class.sh list"
        fi
    done
    for name in "$@"; do
        file=$(slice "$name")
        if hub_is_on; then hub_forget "$name"; fi
        loginctl disable-linger "$name"
        systemctl stop "user-$(id -u "$name").slice"
        userdel --remove "$name" 2>/dev/null
        rm "$file"
        rmdir "$(dirname "$file")"
        say "removed $name"
    done
    if [[ -z $(students) ]]; then groupdel "$class"; fi
    systemctl daemon-reload
}

hub() { # [off]
    local names
    case ${1:-on} in
        on)
            hub_start
            if ! hub_wait; then
                hub off
                give_up "start JupyterHub: it doesn't serve" "the end of its log is above"
            fi
            ;;
        off) if hub_is_on; then hub_stop; fi ;;
        *) give_up "class.sh hub $1: it is on, or it is off" "class.sh hub, or class.sh hub off" ;;
    esac
    mapfile -t names < <(students)
    if hub_is_on; then by_hub "${names[@]}"; else by_ssh "${names[@]}"; fi
    list
}

if [[ $EUID -ne 0 ]]; then give_up "manage a class: not root" "sudo $0"; fi
case ${1:-} in
    add | list | remove | hub) "$@" ;;
    *) give_up "class.sh ${1:-}: no such verb" "class.sh add NAME…, list, remove NAME…, hub [off]" ;;
esac
