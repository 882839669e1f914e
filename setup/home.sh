# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # root, log, lab_home are shared with setup.sh and its other parts
# LAB_HOME, the one folder that holds what the lab keeps (labrt/paths.py tells the same to Python).
# `./lab clean --all` empties it only if it carries this mark.

lab_home=${LAB_HOME:-${XDG_DATA_HOME:-~/.local/share}/vm-container-lab}
mark=.made-by-the-lab

home_open() {
    [[ -d $lab_home ]] || home_make || give_up "make $lab_home" "set LAB_HOME to a folder you may write to"
    lab_home=$(cd "$lab_home" && pwd -P)
    export LAB_HOME=$lab_home
    if [[ ! -e $lab_home/$mark ]]; then home_claim; fi
    mkdir -p "$lab_home/logs" "$lab_home/stamps" "$lab_home/kernels"
}

# Containers' root and QEMU's user pass through it, whatever the umask; neither may list it.
home_make() { mkdir -p "$lab_home" && chmod 711 "$lab_home"; }

# Never put the mark on a folder that holds somebody else's files.
home_claim() {
    local entry
    for entry in "$lab_home"/* "$lab_home"/.[!.]*; do
        case ${entry##*/} in
            '*' | '.[!.]*') ;;
            images | layers | containers | guests | kernels | accelerator.json | logs | stamps | \
                machine | wheels) ;;
            *) give_up "use LAB_HOME=$lab_home: it holds ${entry##*/}, which is not the lab's" \
                "set LAB_HOME to a folder of its own" ;;
        esac
    done
    echo "Made by the VM and container lab; ./lab clean --all removes it." >"$lab_home/$mark"
}

# One set-up at a time. The lock goes with the process, so a killed set-up leaves none.
home_lock() {
    exec 9>"$lab_home/setup.lock"
    if flock -n 9; then return; fi
    say "waiting for another ./lab setup"
    flock 9
}
