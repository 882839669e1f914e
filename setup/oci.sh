# shellcheck shell=bash
# shellcheck disable=SC2154 # root is shared with setup.sh and its other parts
# .venv/bin/labrt-oci: the program whose path Podman, Docker and containerd are given
# (labrt/oci/entry.c, docs/oci.md).

oci_inputs() {
    { venv_inputs; readlink -f "$root/.venv/bin/python"; cat "$root/setup/oci.sh" "$root/labrt/oci/entry.c"; } |
        digest
}

oci_current() {
    [[ -x $root/.venv/bin/labrt-oci ]] && stamped "$root/.venv/oci-made-from" "$(oci_inputs)"
}

# Beside its place, moved into it whole: an engine may be using the old one.
oci_make() {
    local python packages new=$root/.venv/bin/.labrt-oci
    python=$(readlink -f "$root/.venv/bin/python")
    packages=$("$root/.venv/bin/python" -c \
        'import os, sys, sysconfig; print(os.path.relpath(sysconfig.get_path("purelib"), sys.prefix))')
    gcc -O2 -Wall -Wextra -Werror -o "$new" "$root/labrt/oci/entry.c" \
        -DPYTHON="\"$python\"" -DFOLDER="\"${python%/*}\"" -DFILE_NAME="\"${python##*/}\"" \
        -DPACKAGES="\".venv/$packages\""
    mv "$new" "$root/.venv/bin/labrt-oci"
    oci_inputs >"$root/.venv/oci-made-from"
}
