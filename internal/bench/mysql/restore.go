package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// shell runs a command line that is not measured.
func (b *bench) shell(ctx context.Context, line string, env []string) error {
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -e -o pipefail; "+line)
	cmd.Dir, cmd.Env = b.dir, b.environment(env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return nil
}

// dumped makes what restores read, where the part dump has not.
func (b *bench) dumped(ctx context.Context) error {
	tools := []tool{b.nightjarDump("ours", "bench", true), b.gzipDump(), b.mydumper("mydumper", "bench", "")}
	for _, t := range tools {
		if size, err := sizeOf(t.left); err != nil || size > 0 {
			if err != nil {
				return err
			}
			continue
		}
		if b.missing(t) {
			continue
		}
		if _, err := b.step(ctx, t, false); err != nil {
			return err
		}
	}
	return nil
}

// restores measures loading into a second server, without its binary log, beside the same rows from local files.
func (b *bench) restores(ctx context.Context) (err error) {
	if err := b.dumped(ctx); err != nil {
		return err
	}
	target, err := b.start(ctx, "target")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.stop()) }()
	empty := func(ctx context.Context) error {
		return target.exec(ctx, "SET sql_log_bin=0; DROP DATABASE IF EXISTS bench; SET sql_log_bin=1")
	}
	load, err := b.loadData(ctx, target, empty)
	if err != nil {
		return err
	}
	mariadb := fmt.Sprintf("mariadb --no-defaults --socket=%s --user=root --init-command='SET sql_log_bin=0'", target.socket)
	ours := func(name, flags string) tool {
		return tool{name: name, env: b.repository("ours"), before: empty, target: target,
			line: fmt.Sprintf("%s mysql restore latest --quiet --server root@%s --threads %d --no-binlog%s", b.nightjar, target.socket, b.threads, flags)}
	}
	_, err = b.compare(ctx, "Restores into a running server, without its binary log", []tool{
		ours("nightjar mysql restore", ""),
		ours("nightjar mysql restore --no-verify", " --no-verify"),
		ours("nightjar mysql restore --keys-first", " --keys-first"),
		{name: "gunzip | mariadb", needs: []string{"mariadb"}, before: empty, target: target, line: "gunzip <dump.sql.gz | " + mariadb},
		{name: "myloader", needs: []string{"myloader"}, before: empty, target: target,
			line: fmt.Sprintf("myloader --socket %s --user root --threads %d --directory mydumper >/dev/null", target.socket, b.threads)},
		load,
	}, b.rounds, false)
	return err
}

// loadData is LOAD DATA of each table from a local file, as many tables at the same time as the others have sessions; of the tables that are there with their keys.
func (b *bench) loadData(ctx context.Context, target *instance, empty func(context.Context) error) (tool, error) {
	if err := os.Mkdir(b.at("files"), 0o777); err != nil {
		return tool{}, err
	}
	if err := os.Chmod(b.at("files"), 0o777); err != nil { // the server writes there
		return tool{}, err
	}
	var names []string
	rows, err := b.source.db.QueryContext(ctx, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'bench' ORDER BY DATA_LENGTH DESC")
	if err != nil {
		return tool{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return tool{}, err
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return tool{}, err
	}
	for _, name := range names {
		if err := b.source.exec(ctx, fmt.Sprintf("SELECT * FROM bench.%s INTO OUTFILE '%s' CHARACTER SET binary", name, b.at("files/"+name))); err != nil {
			return tool{}, err
		}
	}
	before := func(ctx context.Context) error {
		if err := empty(ctx); err != nil {
			return err
		}
		return b.shell(ctx, fmt.Sprintf("mariadb-dump --no-defaults --socket=%s --user=root --no-data --databases bench | mariadb --no-defaults --socket=%s --user=root",
			b.source.socket, target.socket), nil)
	}
	return tool{name: "LOAD DATA from local files", needs: []string{"mariadb", "mariadb-dump", "xargs"}, before: before, target: target,
		line: fmt.Sprintf("printf '%%s\\n' %s | xargs -P %d -I{} mariadb --no-defaults --socket=%s --user=root --local-infile bench "+
			"--execute='SET sql_log_bin=0, foreign_key_checks=0, unique_checks=0; LOAD DATA LOCAL INFILE \"files/{}\" INTO TABLE {} CHARACTER SET binary'",
			strings.Join(names, " "), b.threads, target.socket)}, nil
}

// replicas measures how long a new server takes until it serves as a replica, while somebody writes to its source.
func (b *bench) replicas(ctx context.Context) (err error) {
	if err := b.dumped(ctx); err != nil {
		return err
	}
	replica, err := b.start(ctx, "replica")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, replica.stop()) }()
	position := "SET GLOBAL gtid_slave_pos = ''"
	if b.server != "mariadb" {
		position = "SET GLOBAL super_read_only = 0"
	}
	empty := func(ctx context.Context) error {
		return replica.exec(ctx, "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0; "+position+"; SET sql_log_bin=0; DROP DATABASE IF EXISTS bench; SET sql_log_bin=1; RESET MASTER")
	}
	ours := func(flags string) tool {
		return tool{name: "nightjar mysql replica" + flags, env: b.repository("ours"), target: replica, before: empty,
			line: fmt.Sprintf("%s mysql replica latest --quiet --server root@%s --source root@%s --replication bench@127.0.0.1:%d --threads %d%s",
				b.nightjar, replica.socket, b.source.socket, b.source.port, b.threads, flags)}
	}
	_, err = b.compare(ctx, "A replica until it serves, under writers", []tool{ours(""), ours(" --no-verify")}, b.rounds, true)
	return err
}
