#!/bin/sh
# root.sh SUITE DIR PACKAGE... unpacks packages of another suite of Debian, with all that they need, into a folder. Nothing is
# installed or configured: the programs run with the folder's own loader and libraries. It needs apt and the network, not root.
# A server of another version than the one that the folder is called after is refused, since a suite moves on.
set -eu
suite=$1 dir=$2
shift 2
mkdir -p "$(dirname "$dir")"
dir=$(realpath "$dir")
new=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
apt=$new/apt root=$new/root
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$root"
: >"$apt/status"

# The machine's own mirror.
mirror=$(apt-get indextargets --format '$(REPO_URI)' | sort -u | grep -m 1 '/debian/*$') || { echo "apt knows no mirror of Debian" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$apt/sources.list"

# Of the machine's settings those of its network stay. A mirror may be old: what runs here is for tests alone.
get() {
	timeout -k 10 120 apt-get -qq -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" \
		-o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Sandbox::User=root -o APT::Update::Post-Invoke= -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}
get update
get install -y --no-install-recommends --download-only "$@" >/dev/null
for package in "$apt"/archives/*.deb; do
	dpkg-deb --extract "$package" "$root"
done
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/usr/share/perl "$root"/usr/lib/*/perl
libraries=$(dirname "$root"/usr/lib/*-linux-gnu/ld-linux*.so.*)
version=$("$libraries"/ld-linux*.so.* --library-path "$libraries" "$root/usr/sbin/mysqld" --no-defaults --version)
case $version in
*" ${dir##*-}."*) mv -T "$root" "$dir" ;;
*) echo "$suite has another version: $version" >&2; exit 1 ;;
esac
