package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/human"
	"nightjar/internal/tempdir"
	"nightjar/mysqldump/program"
)

func lookAtClock(ctx context.Context, l *look) ([]Finding, error) {
	before := l.o.Now()
	row, err := l.Row(ctx, "SELECT UNIX_TIMESTAMP(SYSDATE(6))")
	if err != nil {
		return nil, err
	}
	after := l.o.Now()
	seconds, err := strconv.ParseFloat(string(row[0]), 64)
	if err != nil {
		return nil, fmt.Errorf("read the server's clock: %w", err)
	}
	there := time.UnixMicro(int64(seconds * 1e6))
	const most = 2 * time.Second
	var off time.Duration
	switch {
	case there.Before(before.Add(-most)):
		off = before.Sub(there)
	case there.After(after.Add(most)):
		off = there.Sub(after)
	default:
		return none()
	}
	return one(Warning, fmt.Sprintf("the server's clock and this machine's differ by %s: a restore to a time of the clock lands that far off, and a replica's delay is wrong", off.Round(time.Second)),
		"let both follow one time server: chronyc tracking, or timedatectl timesync-status, says whether they do")
}

func lookAtZones(ctx context.Context, l *look) ([]Finding, error) {
	row, err := l.Row(ctx, "SELECT CONVERT_TZ('2000-01-01 00:00:00','UTC','+00:00') IS NULL")
	if err != nil || string(row[0]) == "0" {
		return nil, err
	}
	return one(Note, "the server knows no time zones by name: what a session with such a time zone wrote to a binary log cannot be replayed here", "mysql_tzinfo_to_sql /usr/share/zoneinfo | mysql mysql (of MariaDB: mariadb-tzinfo-to-sql)")
}

func lookAtSpace(_ context.Context, l *look) (found []Finding, err error) {
	if l.o.TempDir != "" {
		if _, err := tempdir.New(l.o.TempDir); err != nil {
			found = append(found, Finding{Severity: Problem, Object: l.o.TempDir, Says: "scratch files cannot be written: " + err.Error(), Do: "name another folder with --tempdir"})
		} else if found, err = l.room(found, l.o.TempDir, "scratch files", "make room, or name another folder with --tempdir"); err != nil {
			return nil, err
		}
	}
	if dir := l.datadir(); dir != "" {
		return l.room(found, dir, "undo and binary logs, which a backup that takes long lets grow,", "make room: PURGE BINARY LOGS BEFORE ... frees some, if no replica needs them")
	}
	return found, nil
}

func (l *look) room(found []Finding, folder, what, do string) ([]Finding, error) {
	const little, least = 1 << 30, 100 << 20
	left, total, err := l.o.Free(folder)
	if err != nil {
		return nil, fmt.Errorf("look for room in %s: %w", folder, err)
	}
	if left >= little && left >= total/50 {
		return found, nil
	}
	severity := Warning
	if left < least {
		severity = Problem
	}
	return append(found, Finding{Severity: severity, Object: folder, Says: fmt.Sprintf("%s of %s are free: %s may fill the disk", human.Size(left), human.Size(total), what), Do: do}), nil
}

// datadir returns the server's data directory if it is on this machine; else "".
func (l *look) datadir() string {
	host, err := os.Hostname()
	dir := l.variables["datadir"]
	if err != nil || host != l.variables["hostname"] || !filepath.IsAbs(dir) {
		return ""
	}
	if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return "" // of a container, or behind a tunnel
	}
	return dir
}

// lookAtMethod says what a hot copy is taken by, and lacks.
func lookAtMethod(ctx context.Context, l *look) (found []Finding, err error) {
	if l.datadir() == "" {
		found, _ = one(Problem, "the data directory, "+l.variables["datadir"]+" on "+l.variables["hostname"]+", is not on this machine: files cannot be copied from afar", "run nightjar on the server's machine, as a user who may read the directory")
	}
	if l.mariadb() {
		return found, nil // by mariadb-backup, for which lookAtTools looks
	}
	row, err := l.Row(ctx, "SELECT COUNT(*) FROM information_schema.PLUGINS WHERE PLUGIN_NAME='clone' AND PLUGIN_STATUS='ACTIVE'")
	if err == nil && string(row[0]) == "0" {
		found = append(found, Finding{Severity: Problem, Object: "clone", Says: "the clone plugin, which takes hot copies of MySQL, is not loaded", Do: "INSTALL PLUGIN clone SONAME 'mysql_clone.so'; a server that does not have it (MySQL 5.7) can be dumped only"})
	}
	return found, err
}

// lookAtCloneSpace says how much room a clone takes, and whether the server's own disk has it.
func lookAtCloneSpace(_ context.Context, l *look) ([]Finding, error) {
	dir := l.datadir()
	if l.mariadb() || dir == "" {
		return none()
	}
	const own = 128 << 20 // the server's own tables, and logs
	takes := uint64(own)
	for _, t := range l.tables {
		takes += t.bytes
	}
	left, _, err := l.o.Free(dir)
	if err != nil {
		return nil, fmt.Errorf("look for room in %s: %w", dir, err)
	}
	says := fmt.Sprintf("a hot copy is a clone that takes about %s for as long as it is saved; %s are free on the data directory's disk", human.Size(takes), human.Size(left))
	if left < takes {
		return one(Warning, says, "make room, or name a folder on another disk of this machine with nightjar mysql hot --clone-dir")
	}
	return one(Note, says, "name a folder for it with nightjar mysql hot --clone-dir: outside of the data directory, where the server's user may enter")
}

func free(folder string) (left, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: folder, Err: err}
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), nil
}

// lookAtTools looks for the program that hot copies of MariaDB are taken with: one of the server's series, since it reads files. Those of MySQL are taken by
// its clone plugin, and nothing else needs a program of the server's.
func lookAtTools(ctx context.Context, l *look) ([]Finding, error) {
	if l.o.Path == "" || !l.mariadb() {
		return none()
	}
	const name = "mariadb-backup"
	file := program.Find(l.o.Path, name, "mariabackup")
	if file == "" {
		return []Finding{{Severity: Problem, Object: name, Says: "the hot copy needs the program " + name + ", which is not in the search path", Do: "install it from where the server comes from: apt-get install mariadb-backup"}}, nil
	}
	version, err := program.Version(ctx, file, l.o.Env)
	theirs := program.Series(l.version)
	finding := Finding{Severity: Problem, Object: file, Do: "install " + name + " of version " + theirs}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case version == "":
		finding.Says = fmt.Sprintf("it does not say its version (%v)", err)
	case version == theirs:
		return none()
	default:
		finding.Says = fmt.Sprintf("it is of version %s, the server of %s: it copies files that it may not understand", version, theirs)
	}
	return []Finding{finding}, nil
}
