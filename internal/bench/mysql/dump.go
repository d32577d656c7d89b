package main

import (
	"context"
	"fmt"
	"os"
)

// What the dumps write to. A repository is named by the tool that has it.
const (
	ours = "nightjar mysql dump"
	pipe = "mariadb-dump | nightjar backup --stdin"
)

// repository returns the environment that leads nightjar to a repository of its own.
func (b *bench) repository(name string) []string {
	at := func(what string) string { return b.at(name + "." + what) }
	return []string{"NIGHTJAR_REPO=" + at("repo"), "NIGHTJAR_CACHE_DIR=" + at("cache"), "NIGHTJAR_STATE_DIR=" + at("state"), "PASSPHRASE=", "GNUPGHOME=" + at("gnupg")}
}

// newRepository makes a repository anew.
func (b *bench) newRepository(ctx context.Context, name string) error {
	for _, what := range []string{"repo", "cache", "state", "gnupg"} {
		if err := os.RemoveAll(b.at(name + "." + what)); err != nil {
			return err
		}
	}
	return b.shell(ctx, b.nightjar+" init --quiet", b.repository(name))
}

// nightjarDump is a dump of a database into the repository of that name, which is made anew for each unless it is a night's.
func (b *bench) nightjarDump(name, database string, fresh bool) tool {
	t := tool{name: ours, env: b.repository(name), left: b.at(name + ".repo"), target: b.source,
		line: fmt.Sprintf("%s mysql dump --quiet --server root@%s --threads %d %s", b.nightjar, b.source.socket, b.threads, database)}
	if fresh {
		t.before = func(ctx context.Context) error { return b.newRepository(ctx, name) }
	}
	return t
}

func (b *bench) pipeDump(fresh bool) tool {
	t := tool{name: pipe, needs: []string{"mariadb-dump"}, env: b.repository("pipe"), left: b.at("pipe.repo"), target: b.source,
		line: fmt.Sprintf("mariadb-dump %s --databases bench | %s backup --quiet --stdin dump.sql", b.client(b.source), b.nightjar)}
	if fresh {
		t.before = func(ctx context.Context) error { return b.newRepository(ctx, "pipe") }
	}
	return t
}

// client is how the clients that dump get onto a server, as they are used for backups.
func (b *bench) client(s *instance) string {
	return fmt.Sprintf("--no-defaults --socket=%s --user=root --single-transaction --routines --events --triggers", s.socket)
}

func (b *bench) gzipDump() tool {
	return tool{name: "mariadb-dump | gzip", needs: []string{"mariadb-dump", "gzip"}, left: b.at("dump.sql.gz"), target: b.source, before: b.remove("dump.sql.gz"),
		line: fmt.Sprintf("mariadb-dump %s --databases bench | gzip >dump.sql.gz", b.client(b.source))}
}

func (b *bench) mydumper(folder, database, more string) tool {
	return tool{name: "mydumper" + more, needs: []string{"mydumper"}, left: b.at(folder), target: b.source, before: b.remove(folder),
		line: fmt.Sprintf("mydumper --socket %s --user root --threads %d --database %s --outputdir %s --triggers --events --routines%s >/dev/null",
			b.source.socket, b.threads, database, folder, more)}
}

// remove returns what removes a file or folder before a step.
func (b *bench) remove(name string) func(context.Context) error {
	return func(context.Context) error { return os.RemoveAll(b.at(name)) }
}

// dumps measures a first night, while somebody writes.
func (b *bench) dumps(ctx context.Context) error {
	if err := b.analyze(ctx); err != nil {
		return err
	}
	parallel := tool{name: "mariadb-dump | gzip, per table in parallel", needs: []string{"mariadb-dump", "gzip", "xargs"}, left: b.at("tables"), target: b.source,
		before: func(ctx context.Context) error {
			if err := os.RemoveAll(b.at("tables")); err != nil {
				return err
			}
			return os.Mkdir(b.at("tables"), 0o755)
		},
		line: fmt.Sprintf("mariadb --no-defaults --socket=%s --user=root --batch --skip-column-names bench --execute='SHOW TABLES' | "+
			"xargs -P %d -I{} bash -c 'set -o pipefail; mariadb-dump %s bench {} | gzip >tables/{}.gz'", b.source.socket, b.threads, b.client(b.source))}
	fastest := b.nightjarDump("fastest", "bench", true)
	fastest.name, fastest.line = ours+" --compression fastest", fastest.line+" --compression fastest"
	_, err := b.compare(ctx, "Dumps under writers: the first night", []tool{b.nightjarDump("ours", "bench", true), fastest, b.gzipDump(), parallel, b.pipeDump(true),
		b.mydumper("mydumper", "bench", ""), b.mydumper("mydumper-c", "bench", " --compress"), {name: "no dump, for the waits alone", target: b.source, line: "sleep 3"}}, b.rounds, true)
	return err
}

// analyze has the server know how large its tables are, as it does after a while.
func (b *bench) analyze(ctx context.Context) error {
	for _, t := range tables {
		rows, err := b.source.db.QueryContext(ctx, "ANALYZE TABLE bench."+t.name)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		if err := rows.Close(); err != nil {
			return err
		}
	}
	return nil
}

// night measures what a second night adds to the repositories of dumps, in which 1% of the rows have changed.
func (b *bench) night(ctx context.Context) error {
	before := map[string]int64{}
	for _, name := range []string{"ours", "pipe"} {
		size, err := sizeOf(b.at(name + ".repo"))
		if err != nil {
			return err
		}
		if size == 0 {
			return fmt.Errorf("there is no first night: measure dump too")
		}
		before[name] = size
	}
	if err := b.changeRows(ctx); err != nil {
		return err
	}
	costs, err := b.compare(ctx, "The second night, 1% of the rows changed", []tool{b.nightjarDump("ours", "bench", false), b.pipeDump(false)}, 1, true)
	if err != nil {
		return err
	}
	fmt.Fprintln(b.out)
	for _, r := range []struct{ tool, name string }{{ours, "ours"}, {pipe, "pipe"}} {
		if c, ok := costs[r.tool]; ok {
			fmt.Fprintf(b.out, "%-44s adds %d bytes to %d: %.1f%%\n", r.tool, c.bytes, before[r.name], 100*float64(c.bytes)/float64(before[r.name]))
		}
	}
	return nil
}

// changeRows changes 1% of the rows, as a night does.
func (b *bench) changeRows(ctx context.Context) error {
	for _, t := range tables {
		if t.change == "" {
			continue
		}
		key := "id"
		if t.name == "items" {
			key = "orderid, line"
		}
		text := fmt.Sprintf("UPDATE bench.%s SET %s WHERE "+aPercent, t.name, t.change, key)
		if err := b.source.exec(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// locks is how many dumps the part waits makes one after another.
const locks = 20

// waits measures for how long writers wait for locks: dumps of tables that are nearly empty, one after another, beside the same load without.
func (b *bench) waits(ctx context.Context) error {
	dumps := b.nightjarDump("waits", "'bench.small*'", true)
	dumps.line = fmt.Sprintf("for i in $(seq %d); do %s; done", locks, dumps.line)
	_, err := b.compare(ctx, fmt.Sprintf("Waits of writers: %d dumps of small tables, with one lock each", locks),
		[]tool{dumps, {name: "no dump", target: b.source, line: "sleep 10"}}, b.rounds, true)
	return err
}

// many measures dumps of empty tables.
func (b *bench) many(ctx context.Context) error {
	text := "CREATE DATABASE many; SET sql_log_bin=0; "
	for i := range b.tables {
		text += fmt.Sprintf("CREATE TABLE many.t%05d (id INT PRIMARY KEY, name VARCHAR(40), KEY (name)) ENGINE=InnoDB; ", i)
		if i%100 == 99 || i == b.tables-1 {
			if err := b.source.exec(ctx, text); err != nil {
				return err
			}
			text = "SET sql_log_bin=0; "
		}
	}
	_, err := b.compare(ctx, fmt.Sprintf("Dumps of %d empty tables", b.tables), []tool{b.nightjarDump("many", "many", true), b.mydumper("mydumper-many", "many", ""),
		b.mydumper("mydumper-many", "many", " --build-empty-files")}, b.rounds, false)
	return err
}
