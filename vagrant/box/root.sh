#!/usr/bin/env bash
# Makes the root file system of the lab machine: Debian 12 by mmdebstrap(1), then the lab itself by
# its own set-up, inside. Host side, as root.
#
#   root.sh ROOT PINS WHEELS IMAGES
#     ROOT    the folder to make
#     PINS    apt_preferences(5): the version of each package
#     WHEELS  a folder with all that requirements.txt needs, as pip downloaded it on the host
#     IMAGES  an archive of base images, as labrt save writes it
set -euo pipefail

box=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
project=$(dirname "$(dirname "$box")")
root=$1 pins=$2 wheels=$3 images=$4

# shellcheck source=setup/packages.sh
source "$project/setup/packages.sh"
# shellcheck source=vagrant/packages.sh
source "$project/vagrant/packages.sh"

suite=bookworm
archive=http://deb.debian.org
packages=("${system_packages[@]}" "${session_packages[@]}" "${apt_packages[@]}" python3-venv python3-dev)
included=$(IFS=, && echo "${packages[*]}")

left_out=()
for name in doc info locale man; do left_out+=("--dpkgopt=path-exclude=/usr/share/$name/*"); done
left_out+=('--dpkgopt=path-include=/usr/share/doc/*/copyright')
# Drivers of what no virtual machine has: a fifth of the box. What dpkg was told holds for updates, too.
modules="/lib/modules/*/kernel"
for subsystem in sound drivers/{bluetooth,comedi,edac,firewire,gpu,hwmon,iio,infiniband,isdn,leds} \
    drivers/{media,mfd,mmc,mtd,nfc,ntb,pcmcia,platform,staging,thunderbolt} \
    drivers/net/{can,ethernet,wireless}; do
    left_out+=("--dpkgopt=path-exclude=$modules/$subsystem/*")
done
left_out+=("--dpkgopt=path-include=$modules/drivers/net/ethernet/intel/e1000*")

export LC_ALL=C.UTF-8
mmdebstrap --mode=root --variant=minbase --include="$included" "${left_out[@]}" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --setup-hook="copy-in $pins /etc/apt/preferences.d" \
    --essential-hook="$box/early.sh \"\$1\"" \
    --customize-hook="$box/install.sh \"\$1\" '$wheels' '$images'" \
    --customize-hook="rm \"\$1/etc/apt/preferences.d/$(basename "$pins")\"" \
    "$suite" "$root" \
    "deb $archive/debian $suite main" \
    "deb $archive/debian $suite-updates main" \
    "deb $archive/debian-security $suite-security main"
