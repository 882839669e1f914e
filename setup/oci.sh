# shellcheck shell=bash
# shellcheck disable=SC2154 # root is shared with setup.sh and its other parts
# .venv/bin/labrt, and .venv/bin/labrt-oci: the program whose path Podman, Docker and containerd are
# given (labrt/entry.c, docs/oci.md). One program: it does what it is called. And .venv/lib/labrt-cloner
# and labrt-calls.so, which do the container's side of a start (labrt/cloner.c, labrt/calls.c).

oci_inputs() {
    { venv_inputs; readlink -f "$root/.venv/bin/python"; cat "$root"/setup/oci.sh "$root"/labrt/*.[ch]; } |
        digest
}

oci_current() {
    [[ -x $root/.venv/bin/labrt-oci && -x $root/.venv/bin/labrt && -x $root/.venv/lib/labrt-cloner ]] &&
        [[ -e $root/.venv/lib/labrt-calls.so ]] && stamped "$root/.venv/oci-made-from" "$(oci_inputs)"
}

# Beside their places, moved into them whole: an engine may be using the old one.
oci_make() {
    local python packages new=$root/.venv/bin/.labrt
    python=$(readlink -f "$root/.venv/bin/python")
    packages=$("$root/.venv/bin/python" -c \
        'import os, sys, sysconfig; print(os.path.relpath(sysconfig.get_path("purelib"), sys.prefix))')
    gcc -O2 -Wall -Wextra -Werror -o "$new" "$root"/labrt/{entry,served,clone,calls}.c \
        -DPYTHON="\"$python\"" -DFOLDER="\"${python%/*}\"" -DFILE_NAME="\"${python##*/}\"" \
        -DPACKAGES="\".venv/$packages\""
    gcc -O2 -no-pie -Wall -Wextra -Werror -o "$new-cloner" "$root"/labrt/{cloner,clone,calls}.c
    gcc -O2 -Wall -Wextra -Werror -shared -fPIC -o "$new-calls.so" "$root"/labrt/calls.c
    mv "$new-cloner" "$root/.venv/lib/labrt-cloner"
    mv "$new-calls.so" "$root/.venv/lib/labrt-calls.so"
    cp "$new" "$new-oci"
    mv "$new-oci" "$root/.venv/bin/labrt-oci"
    mv "$new" "$root/.venv/bin/labrt"
    oci_inputs >"$root/.venv/oci-made-from"
}
