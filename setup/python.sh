#!/usr/bin/env bash
# shellcheck disable=SC2154 # root, lab_home: set by setup.sh
# Finding a Python, and the virtual environment .venv made from it.
#
#   python.sh --find   print a Python that is new enough (how ./lab finds one before set-up)

oldest_python=3.11

# Print the first Python that is new enough, the distribution's own first: its headers, which
# compile libvirt's binding, are a package away. LAB_PYTHON overrides.
python_find() {
    local candidate candidates=(/usr/bin/python3 python3 python3.{14,13,12,11})
    if [[ -n ${LAB_PYTHON:-} ]]; then candidates=("$LAB_PYTHON"); fi
    for candidate in "${candidates[@]}"; do
        if python_serves "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

python_serves() {
    "$1" -c "import sys; sys.exit(sys.version_info < (${oldest_python/./, }))" 2>/dev/null
}

# The Debian packages for a Python with venv and headers: python3, or, where the distribution's
# python3 is too old, the oldest that it packages beside it.
python_packages() {
    local version
    if [[ -n ${LAB_PYTHON:-} ]]; then return; fi
    version=$(apt-cache show python3 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
    if [[ -z $version ]] || dpkg --compare-versions "$version" ge "$oldest_python"; then
        echo python3-venv python3-dev
        return
    fi
    for version in 3.11 3.12 3.13; do
        if apt-cache show "python$version-venv" >/dev/null 2>&1; then
            echo "python$version-venv python$version-dev"
            return
        fi
    done
}

venv_inputs() {
    { echo "$root"; cat "$root/requirements.txt" "$root/constraints.txt"; } | digest
}

venv_current() {
    [[ -x $root/.venv/bin/python ]] && stamped "$root/.venv/made-from" "$(venv_inputs)"
}

venv_ask() {
    if python_find >/dev/null; then return; fi
    give_up "find Python $oldest_python or later" \
        "install one and name it: LAB_PYTHON=/path/to/python3 ./lab setup"
}

venv_make() {
    local python
    python=$(python_find)
    if [[ -L $root/.venv ]]; then rm "$root/.venv"; fi # --clear would empty what it leads to
    rm -f "$root/.venv/made-from"
    "$python" -m venv --clear "$root/.venv"
    # The constraints also hold for what pip fetches to build libvirt-python (two names: older and
    # newer pip). Relative paths, because pip splits these variables at blanks.
    cd "$root" || return
    PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
        .venv/bin/python -m pip install --requirement requirements.txt
    venv_inputs >"$root/.venv/made-from"
}

# What only some need, on top of .venv: requirements-NAME.txt.
extra_inputs() { # NAME
    { venv_inputs; cat "$root/requirements-$1.txt"; } | digest
}

extra_current() { stamped "$root/.venv/made-for-$1" "$(extra_inputs "$1")"; }

extra_make() {
    rm -f "$root/.venv/made-for-$1"
    cd "$root" || return
    PIP_CONSTRAINT="constraints.txt requirements.txt" \
        .venv/bin/python -m pip install --requirement "requirements-$1.txt"
    extra_inputs "$1" >"$root/.venv/made-for-$1"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    root=$(dirname "$(dirname "$(readlink -f "$0")")")
    if [[ -x $root/.venv/bin/python ]] && python_serves "$root/.venv/bin/python"; then
        echo "$root/.venv/bin/python"
    elif ! python_find; then
        echo "lab: no Python $oldest_python or later here. Remedy: ./lab setup installs it" \
            "on Debian and Ubuntu; elsewhere install one, or name it in LAB_PYTHON" >&2
        exit 1
    fi
fi
