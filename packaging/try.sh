# What the test of the package does in a small system of Debian, with sh -eux.
list() {
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /root \) -prune -o -print | sort
}
mount -t proc proc /proc
mkdir -p /etc/cron.d
list >/tmp/before

apt-get install -qq -y --no-install-recommends /nightjar.deb
nightjar version | grep -F "nightjar $VERSION,"
man -w nightjar
man -w nightjar-mysql-binlog-show
man nightjar-restore | grep -F -- --overwrite
test "$(stat -c %a /etc/nightjar)" = 750
test "$(stat -c %a /etc/nightjar/nightjar.toml)" = 600
nightjar config check
nightjar __complete key ro 2>/dev/null | grep -q rotate
test -s /usr/share/bash-completion/completions/nightjar
test "$(head -n 1 /usr/share/zsh/vendor-completions/_nightjar)" = "#compdef nightjar"
test -s /usr/share/fish/vendor_completions.d/nightjar.fish
grep -q '^=== github.com/klauspost/compress/internal/snapref v' /usr/share/doc/nightjar/copyright
zcat /usr/share/doc/nightjar/changelog.gz | grep -q Unreleased
test ! -e /etc/systemd/system/timers.target.wants/nightjar.timer

# With the rights of the service every file is read, and comes back as its owner's.
mkdir -p /srv/src/closed
echo text >/srv/src/closed/file
mknod /srv/src/null c 1 3
chown -R games /srv/src/closed
chmod 0700 /srv/src/closed
chmod 4600 /srv/src/closed/file
service() {
	setpriv --no-new-privs --bounding-set "$CAPABILITIES" "$@"
}
service sh -c 'grep CapBnd /proc/self/status'
service nightjar backup --embedded /srv/src
service nightjar restore latest:/srv/src --target /srv/back --verify
test "$(stat -c '%U %a' /srv/back/closed/file)" = "games 4600"
test -c /srv/back/null
service runuser -u games -- id -un | grep games
service nightjar run --due
service nightjar --config none ebs thaw
service nightjar ebs thaw

# Another version of the package leaves the job file as it is.
echo '# mine' >>/etc/nightjar/nightjar.toml
apt-get install -qq -y --reinstall --no-install-recommends /nightjar.deb
grep mine /etc/nightjar/nightjar.toml

nightjar schedule --install
test -e /etc/cron.d/nightjar
apt-get remove -qq -y nightjar
test ! -e /usr/bin/nightjar
test ! -e /etc/cron.d/nightjar
test -e /etc/nightjar/nightjar.toml
apt-get purge -qq -y nightjar 2>&1 | tee /tmp/said
grep '/var/lib/nightjar stays' /tmp/said
test -d /var/lib/nightjar/repository
test ! -e /var/cache/nightjar
rm -rf /srv/src /srv/back /var/lib/nightjar
list >/tmp/after
diff /tmp/before /tmp/after
echo all tried
