#!/bin/sh
# boot.sh ROOT boots the system in a folder by its own systemd, in namespaces of its own and with no network, and comes back when that is off.
# It needs root and cgroups of version 2, of which no controllers; exit code 77 says that this machine cannot.
set -eu
root=$1
case ${2-} in
'')
	exec unshare --mount --propagation private "$0" "$(realpath "$root")" group
	;;
group)
	groups=$(mktemp -d)
	mount -t cgroup2 none "$groups" && group=$(mktemp -d "$groups/boot.XXXXXX") && chmod 755 "$group" || { rmdir "$groups"; exit 77; }
	code=0
	sh -euc 'echo 0 >"$1"; shift; exec "$@"' sh "$group/cgroup.procs" \
		setpriv --pdeathsig KILL unshare --mount --uts --ipc --net --pid --cgroup --fork --kill-child "$0" "$root" boot || code=$?
	find "$group" -depth -type d -exec rmdir {} + || :
	umount "$groups"
	rmdir "$groups"
	exit $code
	;;
boot)
	mount --bind "$root" "$root"
	cd "$root"
	mount -t proc proc proc
	mount -t sysfs -o ro sysfs sys
	mount -t tmpfs -o mode=755 tmpfs run
	mount -t tmpfs -o mode=755 tmpfs dev
	mkdir dev/pts dev/shm
	for device in null zero full random urandom tty; do
		touch "dev/$device"
		mount --bind "/dev/$device" "dev/$device"
	done
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	pivot_root . mnt
	umount -l /mnt
	exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
	;;
esac
