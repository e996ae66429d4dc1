#!/bin/sh
# Make a base for the image where no registry can be reached: Debian's own Python,
# without bytecode, as in the official images. It takes root, debootstrap and docker.
#
#   tools/base_image.sh [TAG] && make image BASE_IMAGE=worker-lib-base:bookworm
set -eu
tag=${1:-worker-lib-base:bookworm}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates \
  "${tag##*:}" "$folder" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
find "$folder" -xdev -name __pycache__ -prune -exec rm -rf {} +
tar -C "$folder" --exclude='./proc/*' --exclude='./sys/*' -c . \
  | docker import --change 'CMD ["python3"]' - "$tag"
