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

# Debian's cron starts what is due, for root and for users, and mails what failed, and nothing else.
cat >/usr/sbin/sendmail <<'X'
#!/bin/sh
cat >>/srv/sent
echo sent >>/srv/sent.end
X
chmod +x /usr/sbin/sendmail
cat >/etc/nightjar/nightjar.toml <<'X'
[repository]
url = "/srv/repository"
[files.good]
schedule = "* * * * *"
paths = ["/srv/src"]
hooks.after = [["sh", "-c", "echo HOME=$HOME PATH=$PATH >/srv/hooked"]]
[stream.wrong]
schedule = "* * * * *"
name = "wrong"
command = ["false"]
X
nightjar init
nightjar schedule --install
sed -i 's|^[0-9]-59/10 |* |' /etc/cron.d/nightjar
mkdir /srv/user
cat >/srv/user/nightjar.toml <<'X'
[repository]
url = "/srv/user/repository"
[files.mine]
schedule = "* * * * *"
paths = ["/etc/hostname"]
hooks.after = [["touch", "/srv/user/hooked"]]
X
chown -R games /srv/user
user() {
	runuser -u games -- env HOME=/srv/user NIGHTJAR_CONFIG=/srv/user/nightjar.toml NIGHTJAR_STATE_DIR=/srv/user/state NIGHTJAR_CACHE_DIR=/srv/user/cache "$@"
}
user nightjar init
echo '0 0 1 1 * other' | user crontab -
user nightjar schedule --install
user crontab -l | sed 's|^[0-9]-59/10 |* |' | user crontab -
cron

# Another version of the package leaves the job file as it is.
echo '# mine' >>/etc/nightjar/nightjar.toml
apt-get install -qq -y --reinstall --no-install-recommends /nightjar.deb
grep mine /etc/nightjar/nightjar.toml

until test -e /srv/hooked -a -e /srv/user/hooked -a -e /srv/sent.end; do sleep 0.2; done
kill "$(cat /run/crond.pid)"
while ls -l /proc/[0-9]*/exe 2>/dev/null | grep nightjar; do sleep 0.2; done
cat /srv/hooked /srv/sent
grep '^HOME=/root PATH=.*/usr/sbin' /srv/hooked
grep '^Subject: Cron <root@.*nightjar .*run --due' /srv/sent
grep '^nightjar: error: job wrong failed' /srv/sent
grep good /srv/sent && exit 1
grep games /srv/sent && exit 1
user nightjar schedule --remove
user crontab -l | grep -x '0 0 1 1 \* other'
user crontab -l | grep nightjar && exit 1
user crontab -r
rm -r /srv/hooked /srv/sent* /srv/repository /srv/user /usr/sbin/sendmail /run/crond.* /etc/cron.d/nightjar

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
