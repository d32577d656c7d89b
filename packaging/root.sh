#!/bin/sh
# root.sh SUITE DIR [ARCH] makes a small system of Debian in a folder, for tests to install the package in, and to boot. It needs debootstrap, the network and
# root, and for another architecture than the machine's that its kernel runs programs of it: Debian's qemu-user-static sees to that.
set -eu
mkdir -p "$(dirname "$2")"
dir=$(realpath "$2")
new=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"

# The machine's own mirror.
mirror=$(apt-get indextargets --format '$(REPO_URI)' | sort -u | grep -m 1 '/debian/*$') || { echo "apt knows no mirror of Debian" >&2; exit 1; }
timeout -k 10 ${3:+3}600 debootstrap --arch="${3:-$(dpkg --print-architecture)}" --variant=minbase --include=man-db,systemd-sysv,cron "$1" "$new" "$mirror" >"$new.log" 2>&1 || { tail "$new.log" >&2; exit 1; }
rm -rf "$new.log" "$new"/var/cache/apt/* "$new"/var/lib/apt/lists/* "$new"/usr/share/locale/* "$new"/usr/share/doc/* "$new"/usr/share/man/[a-z][a-z]* "$new"/usr/share/zoneinfo
mkdir -p "$new/var/lib/apt/lists/partial" "$new/var/cache/apt/archives/partial"
mv -T "$new" "$dir"
