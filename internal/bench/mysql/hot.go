package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What hot backups are called in the tables, and the repositories that two of them have.
const (
	oursHot   = "nightjar mysql hot"
	nullHot   = "mariadb-backup >/dev/null"
	gzipHot   = "mariadb-backup | gzip"
	resticHot = "mariadb-backup | restic backup --stdin"
	pipeHot   = "mariadb-backup | nightjar backup --stdin"
)

// stream is the command line by which mariadb-backup streams the source's data directory.
func (b *bench) stream() string {
	return fmt.Sprintf("mariadb-backup --no-defaults --socket=%s --user=root --backup --stream=xbstream --parallel=%d --target-dir=%s 2>%s",
		b.source.socket, b.threads, b.at("temp/stream"), b.at("temp/stream.log"))
}

func (b *bench) resticEnv() []string {
	return []string{"RESTIC_REPOSITORY=" + b.at("hotrestic.repo"), "RESTIC_PASSWORD=bench", "RESTIC_CACHE_DIR=" + b.at("hotrestic.cache")}
}

// hotTools are the ways to take a hot backup each night, the first of which is ours.
func (b *bench) hotTools() []tool {
	needs := func(more ...string) []string { return append([]string{"mariadb-backup"}, more...) }
	return []tool{
		{name: oursHot, needs: needs(), env: b.repository("hot"), left: b.at("hot.repo"), target: b.source,
			line: fmt.Sprintf("%s mysql hot --quiet --server root@%s --threads %d", b.nightjar, b.source.socket, b.threads)},
		{name: nullHot, needs: needs(), target: b.source, line: b.stream() + " >/dev/null"},
		{name: resticHot, needs: needs("restic"), env: b.resticEnv(), left: b.at("hotrestic.repo"), target: b.source,
			line: b.stream() + " | restic backup --quiet --stdin --stdin-filename hot.xb"},
		{name: pipeHot, needs: needs(), env: b.repository("hotpipe"), left: b.at("hotpipe.repo"), target: b.source,
			line: fmt.Sprintf("%s | %s backup --quiet --stdin hot.xb", b.stream(), b.nightjar)},
	}
}

// first makes the repositories of tools anew before each backup, and adds gzip, to which each night is the first.
func (b *bench) first(tools []tool) []tool {
	for i, t := range tools {
		switch t.name {
		case oursHot:
			tools[i].before = func(ctx context.Context) error { return b.newRepository(ctx, "hot") }
		case pipeHot:
			tools[i].before = func(ctx context.Context) error { return b.newRepository(ctx, "hotpipe") }
		case resticHot:
			tools[i].before = func(ctx context.Context) error {
				return b.shell(ctx, "rm -rf hotrestic.repo hotrestic.cache; restic init --quiet", b.resticEnv())
			}
		}
	}
	return append(tools, tool{name: gzipHot, needs: []string{"mariadb-backup", "gzip"}, left: b.at("hot.xb.gz"), target: b.source, once: true,
		before: b.remove("hot.xb.gz"), line: b.stream() + " | gzip >hot.xb.gz"})
}

// settle has the source write all its pages, so that a backup has little of the log.
func (b *bench) settle(ctx context.Context) error {
	if err := b.source.exec(ctx, "SET GLOBAL innodb_max_dirty_pages_pct_lwm=0; SET GLOBAL innodb_max_dirty_pages_pct=0"); err != nil {
		return err
	}
	for begin := time.Now(); time.Since(begin) < 5*time.Minute; time.Sleep(100 * time.Millisecond) {
		var name, dirty, age string
		err := b.source.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'").Scan(&name, &dirty)
		if err == nil {
			err = b.source.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Innodb_checkpoint_age'").Scan(&name, &age)
		}
		if err != nil {
			return err
		}
		if n, err := strconv.Atoi(age); dirty == "0" && err == nil && n < 1<<20 {
			return b.source.exec(ctx, "SET GLOBAL innodb_max_dirty_pages_pct_lwm=DEFAULT; SET GLOBAL innodb_max_dirty_pages_pct=DEFAULT")
		}
	}
	return errors.New("the server does not write its pages")
}

// hots measures hot backups: a first night, nights without a change, and one in which 1% of the rows have changed.
func (b *bench) hots(ctx context.Context) error {
	if b.server != "mariadb" {
		fmt.Fprintf(b.out, "\nhot backups NOT MEASURED: mariadb-backup is for servers of MariaDB\n")
		return nil
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	first, err := b.compare(ctx, "Hot backups: the first night", b.first(b.hotTools()), b.rounds, false)
	if err != nil {
		return err
	}
	if _, err := b.compare(ctx, "Hot backups: a night without a change", b.hotTools(), b.rounds, false); err != nil {
		return err
	}
	if err := b.changeRows(ctx); err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	second, err := b.compare(ctx, "Hot backups: a night in which 1% of the rows changed", b.hotTools(), 1, false)
	if err != nil {
		return err
	}
	fmt.Fprintln(b.out)
	for _, name := range []string{oursHot, pipeHot, resticHot} {
		if before, now := first[name].bytes, second[name].bytes; before > 0 {
			fmt.Fprintf(b.out, "%-44s adds %d bytes to %d: %.1f%%\n", name, now, before, 100*float64(now)/float64(before))
		}
	}
	if err := b.hotRestores(ctx); err != nil {
		return err
	}
	return b.hotReplica(ctx)
}

// hotRestores measures a data directory made of the last hot backup, beside copying the same files and preparing the copy.
func (b *bench) hotRestores(ctx context.Context) error {
	raw := "rm -rf hot.raw && mkdir hot.raw && " + b.stream() + " | mbstream -x -C hot.raw"
	if err := b.shell(ctx, raw, nil); err != nil {
		return err
	}
	prepare := "mariadb-backup --no-defaults --prepare --target-dir=hot.copy 2>prepare.log"
	_, err := b.compare(ctx, "Data directories of a hot backup, prepared", []tool{
		{name: "nightjar mysql restore --datadir", env: b.repository("hot"), target: b.source, before: b.remove("hot.back"),
			line: fmt.Sprintf("%s mysql restore latest --quiet --datadir %s", b.nightjar, b.at("hot.back"))},
		{name: "cp, sync, mariadb-backup --prepare", target: b.source, before: b.remove("hot.copy"),
			line: "cp -r hot.raw hot.copy; find hot.copy -type f -exec sync {} +; " + prepare},
		{name: "cp, mariadb-backup --prepare", target: b.source, before: b.remove("hot.copy"), line: "cp -r hot.raw hot.copy; " + prepare},
	}, b.rounds, false)
	return err
}

// hotReplica measures how long a new server takes from the command until it serves as a replica on the files of the last hot backup.
func (b *bench) hotReplica(ctx context.Context) error {
	at := func(what string) string { return b.at("hot.replica." + what) }
	port, err := freePort()
	if err != nil {
		return err
	}
	user := ""
	if credential, err := owner(); err != nil {
		return err
	} else if credential != nil {
		user = "--user=mysql"
	}
	defer func() { _ = b.endReplica(at("data")) }()
	server := fmt.Sprintf("PATH=$PATH:/usr/sbin; cd %[1]s; setsid mariadbd --no-defaults %[2]s --datadir=%[3]s --tmpdir=%[3]s --socket=%[4]s --port=%[5]d --bind-address=127.0.0.1 --server-id=%[5]d "+
		"--pid-file=%[6]s --gtid-strict-mode=ON --log-bin=bin --relay-log=relay --innodb-buffer-pool-size=%[7]dM --innodb-log-file-size=256M >%[8]s 2>&1 </dev/null &",
		b.dir, user, at("data"), filepath.Join(at("data"), "sock"), port, filepath.Join(at("data"), "pid"), b.pool, at("log"))
	if err := os.WriteFile(at("sh"), []byte(server+"\n"), 0o644); err != nil {
		return err
	}
	_, err = b.compare(ctx, "A replica from a hot backup until it serves", []tool{{name: "nightjar mysql replica --datadir --no-verify", env: b.repository("hot"), target: b.source,
		before: func(context.Context) error { return b.endReplica(at("data")) },
		line: fmt.Sprintf("%s mysql replica latest --quiet --no-verify --datadir %s --server root@%s --source root@%s --replication bench@127.0.0.1:%d --start-command 'sh %s'",
			b.nightjar, at("data"), filepath.Join(at("data"), "sock"), b.source.socket, b.source.port, at("sh"))}}, b.rounds, false)
	return err
}

// endReplica ends the server that runs on a data directory, and removes that.
func (b *bench) endReplica(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err == nil {
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return fmt.Errorf("read the process of the replica: %w", err)
		}
		for begin := time.Now(); time.Since(begin) < time.Minute && syscall.Kill(pid, syscall.SIGTERM) == nil; time.Sleep(100 * time.Millisecond) {
		}
	}
	return os.RemoveAll(dir)
}
