#!/usr/bin/env bash
# Puts in place what the lab needs, and only what is missing. Each product carries a stamp: a hash
# of what it was made from, written last. An interrupted stage leaves no stamp and older inputs
# leave another one; both are made again.
#
#   setup.sh [--test] [--cluster] [--hub] [--box] [--when-needed]
#     --test         also what only the test suite needs
#     --cluster      also what several hosts need (docs/cluster.md)
#     --hub          also what JupyterHub needs (docs/machine.md)
#     --box          also what builds the lab machine (docs/machine.md)
#     --when-needed  say nothing if nothing is missing (how the other verbs call it)
set -euo pipefail

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
with_tests=no
extras=() # lists of Python packages beside the lab's own: requirements-NAME.txt
quiet=no
more=() # lists of packages beside the lab's own
for option in "$@"; do
    case $option in
        --test) with_tests=yes extras+=(cluster hub) more+=(test hub) ;;
        --cluster) extras+=(cluster) ;;
        --hub) extras+=(hub) more+=(hub) ;;
        --box) more+=(box) ;;
        --when-needed) quiet=yes ;;
        *)
            echo "usage: ./lab setup [--test] [--cluster] [--hub] [--box]" >&2
            exit 2
            ;;
    esac
done

# shellcheck source=setup/stage.sh
source "$root/setup/stage.sh"
# shellcheck source=setup/home.sh
source "$root/setup/home.sh"
# shellcheck source=setup/packages.sh
source "$root/setup/packages.sh"
# shellcheck source=setup/python.sh
source "$root/setup/python.sh"
# shellcheck source=setup/oci.sh
source "$root/setup/oci.sh"
# shellcheck source=setup/kernel.sh
source "$root/setup/kernel.sh"
# shellcheck source=setup/machines.sh
source "$root/setup/machines.sh"

home_open
need "system packages" packages "${more[@]}"
need "user for QEMU" qemu_user
need "Python packages" venv
for extra in "${extras[@]}"; do need "Python packages for a $extra" extra "$extra"; done
need "OCI runtime" oci
need "guest kernel" kernel cloud
need "base image" image
need "accelerator" accelerator
if [[ $with_tests == yes ]]; then
    need "test kernel" kernel full
fi

if [[ $stages_run -gt 0 ]]; then
    say "set up in $SECONDS s"
elif [[ $quiet == no ]]; then
    say "everything is set up, nothing to do"
fi
