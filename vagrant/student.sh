# shellcheck shell=bash
# shellcheck disable=SC2154 # root: set by provision.sh and class.sh, which source this
# What a student of the lab has on a machine: a user, ids for containers, a LAB_HOME, JupyterLab.
# Each function makes what is missing and says so by `changed`. Guest side, as root.

data=.local/share/vm-container-lab

# 65,536 ids of the student's own for containers: useradd(8) gives them, where login.defs says so.
student_user() { # NAME
    local kind folder
    if ! id "$1" >/dev/null 2>&1; then
        useradd --create-home --shell /bin/bash --comment "Student of the lab" "$1"
        changed "made the user $1"
    fi
    for kind in uid gid; do
        if ! grep -q "^$1:" "/etc/sub$kind"; then
            give_up "give $1 containers: no range in /etc/sub$kind" \
                "usermod --add-sub${kind}s FIRST-LAST $1, 65536 ids that nobody else has"
        fi
    done
    # Containers' root walks through the home folder; nobody else looks into what is in it.
    chmod 711 "$(student_home "$1")"
    for folder in work .config; do
        as_student "$1" mkdir -p -m 700 "$folder"
    done
}

student_home() { getent passwd "$1" | cut -d: -f6; }

# Begun with what root's set-up has made.
student_lab_home() { # NAME
    local own
    own=$(student_home "$1")/$data
    if [[ -e $own ]]; then return; fi
    runuser -u "$1" -- mkdir -p "$own/stamps"
    cp -r "/root/$data"/{kernels,images,.made-by-the-lab} "$own"
    cp "/root/$data/stamps/image" "$own/stamps"
    chown -R "$1:" "$own"
    changed "gave $1 a LAB_HOME"
}

# The student's manager runs from boot on, without a login (loginctl(1), enable-linger).
student_lingers() { # NAME
    if [[ -e /var/lib/systemd/linger/$1 ]]; then return; fi
    mkdir -p /var/lib/systemd/linger
    touch "/var/lib/systemd/linger/$1"
    changed "let $1's services run without a login"
}

student_jupyter() { # NAME
    local wants
    wants=$(student_home "$1")/.config/systemd/user/default.target.wants
    if [[ -L $wants/lab-jupyter.service ]]; then return; fi
    runuser -u "$1" -- mkdir -p "$wants"
    runuser -u "$1" -- ln -s /etc/systemd/user/lab-jupyter.service "$wants/"
    changed "switched on $1's JupyterLab"
}

as_student() { # NAME COMMAND…
    local home
    home=$(student_home "$1")
    runuser -u "$1" -- env --chdir="$home" HOME="$home" XDG_RUNTIME_DIR="/run/user/$(id -u "$1")" \
        "${@:2}"
}

# Until it listens: the kernel tells who does (0A: TCP_LISTEN; proc(5), /proc/net/tcp).
student_wait_for_jupyter() { # NAME PORT
    local deadline=$((SECONDS + 600)) port
    port=$(printf %04X "$2")
    until grep -q "0100007F:$port 00000000:0000 0A" /proc/net/tcp; do
        if [[ $SECONDS -ge $deadline ]]; then
            as_student "$1" journalctl --user --unit lab-jupyter.service --lines 20 --no-pager >&2 || true
            give_up "start $1's JupyterLab: it doesn't listen after 600 s" \
                "in the machine: systemctl --user status lab-jupyter, as $1"
        fi
        sleep 0.2
    done
}
