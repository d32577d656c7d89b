package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
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
	load, keysLast, err := b.loadData(ctx, target, empty)
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
		keysLast,
	}, b.rounds, false)
	return err
}

// loadData is LOAD DATA of each table from a local file, as many tables at the same time as the others have sessions: of tables that
// are there with their keys, and of tables in InnoDB that get their secondary keys when their rows are there.
func (b *bench) loadData(ctx context.Context, target *instance, empty func(context.Context) error) (load, keysLast tool, err error) {
	if err := os.Mkdir(b.at("files"), 0o777); err != nil {
		return load, keysLast, err
	}
	if err := os.Chmod(b.at("files"), 0o777); err != nil { // the server writes there
		return load, keysLast, err
	}
	var names []string
	rows, err := b.source.db.QueryContext(ctx, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'bench' ORDER BY DATA_LENGTH DESC")
	if err != nil {
		return load, keysLast, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return load, keysLast, err
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return load, keysLast, err
	}
	for _, name := range names {
		if err := b.source.exec(ctx, fmt.Sprintf("SELECT * FROM bench.%s INTO OUTFILE '%s' CHARACTER SET binary", name, b.at("files/"+name))); err != nil {
			return load, keysLast, err
		}
	}
	before := func(ctx context.Context) error {
		if err := empty(ctx); err != nil {
			return err
		}
		return b.shell(ctx, fmt.Sprintf("mariadb-dump --no-defaults --socket=%s --user=root --no-data --databases bench | mariadb --no-defaults --socket=%s --user=root",
			b.source.socket, target.socket), nil)
	}
	drops, err := b.keyFiles(names)
	if err != nil {
		return load, keysLast, err
	}
	const settings = "SET sql_log_bin=0, foreign_key_checks=0, unique_checks=0"
	script := fmt.Sprintf(`set -e
load() { mariadb --no-defaults --socket=%s --user=root --local-infile --init-command="%s" bench "$@"; }
load --execute="LOAD DATA LOCAL INFILE 'files/$1' INTO TABLE $1 CHARACTER SET binary"
[ -z "$2" ] || [ ! -s "files/$1.keys" ] || load <"files/$1.keys"
`, target.socket, settings)
	if err := os.WriteFile(b.at("load.sh"), []byte(script), 0o644); err != nil {
		return load, keysLast, err
	}
	line := fmt.Sprintf("printf '%%s\\n' %s | xargs -P %d -I{} sh load.sh {} ", strings.Join(names, " "), b.threads)
	load = tool{name: "LOAD DATA from local files", needs: []string{"mariadb", "mariadb-dump", "xargs"}, before: before, target: target, line: line}
	keysLast = load
	keysLast.name, keysLast.line = "LOAD DATA from local files, then keys", line+"keys"
	keysLast.before = func(ctx context.Context) error {
		if err := before(ctx); err != nil {
			return err
		}
		return target.exec(ctx, "SET sql_log_bin=0; "+drops+"SET sql_log_bin=1")
	}
	return load, keysLast, nil
}

// secondary finds the secondary keys in a table's columns.
var secondary = regexp.MustCompile(`, KEY (\w+) \([^)]*\)`)

// keyFiles writes, for each table, the statements that make its secondary keys if it is in InnoDB, and returns those that drop them.
func (b *bench) keyFiles(names []string) (drops string, err error) {
	adds := map[string]string{}
	for _, t := range tables {
		for _, found := range secondary.FindAllStringSubmatch(t.columns, -1) {
			if t.engine == "InnoDB" {
				drops += fmt.Sprintf("ALTER TABLE bench.%s DROP KEY %s; ", t.name, found[1])
				adds[t.name] += ", ADD" + strings.TrimPrefix(found[0], ",")
			}
		}
	}
	for _, name := range names {
		text := ""
		if adds[name] != "" {
			text = "ALTER TABLE " + name + strings.TrimPrefix(adds[name], ",") + ";\n"
		}
		if err := os.WriteFile(b.at("files/"+name+".keys"), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return drops, nil
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
