# What the test of the package does under systemd, with sh -eux: a service that runs when the system is up, and again after the next boot.
export DEBIAN_FRONTEND=noninteractive HOME=/root
until_is() {
	until "$@"; do sleep 0.2; done
}
said() {
	journalctl -b -u nightjar --no-pager | grep "$@"
}

if test -e /srv/again; then
	# What the end of the system broke off is begun anew; then the package goes while it runs.
	until_is said 'job slow begins'
	apt-get remove -qq -y nightjar
	test ! -e /etc/systemd/system/nightjar.timer
	test -z "$(systemctl list-units --no-legend 'nightjar*')"
	echo all tried
	exit
fi

apt-get install -qq -y --no-install-recommends /nightjar.deb
mkdir -p /srv/src /srv/page /srv/closed /mnt/backup /var/spool/postfix
echo text >/srv/src/file
cat >/usr/local/bin/mail <<'X'
#!/bin/sh
exec >>/var/spool/postfix/sent
echo "$NIGHTJAR_JOB $NIGHTJAR_OUTCOME HOME=$HOME"
touch /srv/closed/file || echo closed
X
chmod +x /usr/local/bin/mail
cat >/etc/nightjar/nightjar.toml <<'X'
[repository]
url = "/mnt/backup/web1"
[log]
to = "journal"
[metrics]
textfile = "/srv/page/nightjar.prom"
[hooks]
failure = [["mail"]]
[files.bad]
schedule = "* * * * *"
paths = ["/srv/src", "/srv/none"]
[stream.slow]
schedule = "* * * * *"
name = "slow"
command = ["sleep", "1000"]
[report.page]
schedule = "* * * * *"
output = "/srv/page/backup.html"
X
nightjar init
mkdir /etc/systemd/system/nightjar.timer.d
printf '[Timer]\nOnCalendar=\nOnCalendar=*:*:*\nAccuracySec=1ms\n' >/etc/systemd/system/nightjar.timer.d/often.conf
nightjar schedule --install
systemd-analyze security --no-pager --threshold=48 nightjar.service >/srv/exposure || { tail -n 1 /srv/exposure; exit 1; }
until_is said 'job slow begins'
said 'job bad met with problems after .*: archive .* was made'
journalctl -b -u nightjar -o verbose >/srv/fields
grep '^ *NIGHTJAR_BYTES_STORED=' /srv/fields
grep NIGHTJAR_NIGHTJAR /srv/fields && exit 1
said 'nightjar: ' && exit 1 # what is in the log is not said twice
grep '^bad problems HOME=/root$' /var/spool/postfix/sent
grep closed /var/spool/postfix/sent
test -s /srv/page/backup.html

# The user stops it: that is no failure, and it is begun anew.
systemctl stop nightjar.timer nightjar.service
systemctl is-failed nightjar.service && exit 1
grep '^slow failed' /var/spool/postfix/sent

# The system goes down while it runs.
systemctl start nightjar.timer
until_is sh -c "test \$(journalctl -b -u nightjar --no-pager | grep -c 'job slow begins') = 2"
touch /srv/again
