#!/bin/bash
# Makes testdata/format-N.tar: a small repository of the format's version N, read by a test for as long as that version is read
# (cmd/nightjar/testdata/frozen.txtar). The store times of a directory are the files' own, which tar keeps to the nanosecond
# in this format of its own. Usage: make.sh NIGHTJAR OUT.tar
# A repository that was frozen is never made again: this is here to say what is in it.
set -eu
nightjar=$(realpath "$1") out=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export NIGHTJAR_REPO=$work/repo NIGHTJAR_STATE_DIR=$work/state NIGHTJAR_CACHE_DIR=$work/cache TZ=UTC
unset PASSPHRASE SIGN_PASSPHRASE || true

noise() { openssl enc -aes-128-ctr -K "$(printf %032x "$1")" -iv 0 -in /dev/zero 2>/dev/null | head -c "$2"; }
text() { noise "$1" "$2" | od -An -tx1 | head -c "$2"; }
patch() { noise "$2" "$4" | dd of="$1" bs=1 seek="$3" conv=notrunc status=none; }
database() { # with 1,000 rows of noise
  text "$2" 200000 | python3 -c 'import sqlite3, sys
text = sys.stdin.read()
db = sqlite3.connect(sys.argv[1])
db.execute("pragma page_size = 4096")
db.execute("create table t (id integer primary key, v text)")
db.executemany("insert into t (v) values (?)", ([text[i:i + 200]] for i in range(0, len(text), 200)))
db.commit()' "$1"
}
rows() { python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("update t set v = ? || substr(v, 9) where id % 97 = 0", (sys.argv[2],))
db.commit()' "$1" "$2"; }
want() { # what a night held
  (cd src && find . -mindepth 1 -printf '%P %y %m %s %T@ %l %n\n' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum) > "want/$1"
}
archive() { "$nightjar" list --json --tag "$1" | grep -o '"id":"[0-9a-f]*"' | cut -d'"' -f4 > "want/$1.id"; }

mkdir -p src/etc src/log src/db src/many want
text 1 150000 > src/etc/text; noise 2 30000 > src/etc/opaque; text 3 200000 > src/log/app.log; text 4 700000 > src/db/pages
: > src/etc/empty; ln -s ../log src/etc/link; ln src/etc/text src/etc/hard; mkfifo src/etc/fifo; truncate -s 1M src/db/sparse; patch src/db/sparse 5 500000 1000
database src/db/app.sqlite 12 # with pages, which the grid of block signatures follows
printf 'x' > src/etc/$'not utf8 \xff'; printf 'y' > 'src/etc/ü'; setfattr -n user.note -v value src/etc/ü
for i in $(seq 400); do echo "$i" > "src/many/entry-$i-with-a-name-of-some-length"; done
find src -exec touch -hd '2026-01-02T03:04:05.000000006Z' {} +

"$nightjar" init --host web1 --kit-file kit.txt
sleep 3 # so that nothing counts as just changed
want night1; "$nightjar" backup src --tag night1; archive night1

patch src/db/pages 6 16384 300; patch src/db/pages 7 400000 300; rows src/db/app.sqlite night002; text 8 3000 >> src/log/app.log; mv src/etc/text src/etc/moved; echo new > src/etc/new; rm src/many/entry-7-*
want night2; "$nightjar" backup src --tag night2; archive night2
text 9 90000 | tee want/stream | "$nightjar" backup --stdin shop.sql --tag stream --label position=bin.000001:4; archive stream
text 13 20000 | tee want/log | "$nightjar" backup --stdin shop.log --tag log --label "needs=$(cat want/stream.id)"; archive log

"$nightjar" key enroll --state-dir state2 --root "$("$nightjar" key list | sed -n 's/^root *\([0-9A-F]*\).*/\1/p')" --certificate web2.crt
"$nightjar" key add-host web2 --certificate web2.crt --kit-file kit.txt
"$nightjar" backup src --tag web2 --state-dir state2; cp want/night2 want/web2; archive web2

"$nightjar" key rotate metadata --kit-file kit.txt; "$nightjar" key rotate content --kit-file kit.txt; "$nightjar" key root --kit-file kit.txt
patch src/db/pages 10 16384 500; rows src/db/app.sqlite night003
want night3; "$nightjar" backup src --tag night3; archive night3

# Something forgotten, and a grace period that changed.
mkdir waste; text 11 40000 > waste/a
"$nightjar" backup waste --tag waste
"$nightjar" forget "$("$nightjar" list --json --tag waste | grep -o '"id":"[0-9a-f]*"' | cut -d'"' -f4)"
"$nightjar" key grace 8D --kit-file kit.txt
"$nightjar" key grace 7D --kit-file kit.txt
"$nightjar" check --read-data

tar --format=posix --sort=name --owner=0 --group=0 --numeric-owner -cf "$out" repo state kit.txt want
