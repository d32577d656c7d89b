// Package revive makes a data directory of this machine of one that a snapshot of a disk has: a server was running on it, and has not been stopped.
//
// First everything in it that leads elsewhere is put right or refused, so that the first server that is started on it opens no file of the source.
// Then a private server recovers it, with the binary log that it was written with, and says what it holds: the place up to which the log is
// whole, and which GTIDs were executed. That has to be where the snapshot says that the database stood, if it says it.
//
// The invariant: a position is never guessed. If the server has transactions that the log lacks, the file and the offset are left out, and without
// GTIDs there is no position. What is done is noted in a file beside the data, so that a run that stopped goes on, and never reads a log that
// the private server itself has begun.
//
// The package mounts nothing, starts no server for good, and has nothing replicated.
package revive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"nightjar/internal/tempdir"
	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/clone"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/server"
)

// NoteFile is beside the data, and says what was done.
const NoteFile = "nightjar-restored.json"

// Options say how a data directory is revived.
type Options struct {
	Of      string         // what the data is of, such as the id of a set: notes of another are overwritten
	Program string         // the server's; empty: mariadbd or mysqld, by what the files are
	Flags   []string       // more of its flags, such as --innodb-page-size=8192
	Index   string         // name of the list of binary logs; empty: the one that is there
	Logs    string         // folder of the binary logs; empty: the data directory
	Replica bool           // events are disabled, as on a replica
	Owner   *datadir.Owner // to whom the files are given; nil: they stay whose they are
	Said    Said           // where the database stood, as the snapshot says it
	Temp    tempdir.Dir
	Now     func() time.Time
}

// Said is where a database stood, as a snapshot's tags say it. The zero value says nothing.
type Said struct {
	File    string
	Offset  uint64
	GTIDs   string                    // the whole set; empty: it is not said, or too long
	GTIDSum string                    // of the whole set, by Sum; empty: it is not said
	Sum     func(gtids string) string // makes a GTIDSum; nil: sums are not compared
	Server  string                    // its UUID, or its server_id
}

// A Revived says what a data directory holds.
type Revived struct {
	Position mysqldump.Position // that was recovered; zero if the server wrote no binary log
	Identity string             // UUID that the server had; empty: none
	InnoDB   string             // where InnoDB itself says that it stood in the log, FILE:OFFSET; empty: it does not say
	Program  string             // that recovered it
	Events   int                // that were disabled
	Unclosed []string           // tables of MyISAM that were being written, as FOLDER/FILE: they need CHECK TABLE, and maybe REPAIR TABLE
	Agrees   bool               // with what the snapshot says; false if that says nothing
	Earlier  bool               // all of it was done by an earlier run
	Notes    []string
}

// ErrAhead says that the server has transactions that its binary log lacks, as it comes to be where sync_binlog is not 1.
var ErrAhead = errors.New("the server has transactions that its binary log lacks")

// ErrLog says that the binary log is not where its list is. Without it the data cannot be recovered as the server would.
var ErrLog = errors.New("the binary log is elsewhere")

// note is what NoteFile has.
type note struct {
	Of       string   `json:"of"`
	Done     bool     `json:"done"`
	File     string   `json:"file"` // of the log, as it was before a server was started
	Offset   uint64   `json:"offset"`
	GTIDs    string   `json:"gtids"`
	Server   string   `json:"server_version"`
	ServerID uint32   `json:"server_id"`
	Identity string   `json:"server_uuid"`
	Index    string   `json:"index"`
	Position string   `json:"position"` // recovered; empty: there is none
	InnoDB   string   `json:"innodb"`
	Agrees   bool     `json:"agrees"`
	Outside  bool     `json:"logs_outside"` // of the data directory
	Unclosed []string `json:"unclosed"`
	Quiet    bool     `json:"events_disabled"`
	Notes    []string `json:"notes"`
}

// Read returns what an earlier run has done for the same data; ok is false if it is not done.
func Read(dir *datadir.Dir, of string) (r Revived, ok bool, err error) {
	n, err := readNote(dir, of)
	if err != nil || !n.Done {
		return r, false, err
	}
	r = Revived{Identity: n.Identity, InnoDB: n.InnoDB, Agrees: n.Agrees, Earlier: true, Notes: n.Notes, Unclosed: n.Unclosed}
	if n.Position != "" {
		if r.Position, err = mysqldump.Parse(n.Position); err != nil {
			return r, false, fmt.Errorf("read %s: %w", NoteFile, err)
		}
	}
	return r, true, nil
}

func readNote(d *datadir.Dir, of string) (n note, err error) {
	text, err := d.Text(NoteFile)
	if err != nil || text == "" {
		return note{}, err
	}
	if json.Unmarshal([]byte(text), &n) != nil || n.Of != of { // of a snapshot that is of a restored disk itself
		return note{}, nil
	}
	return n, nil
}

func (n *note) write(d *datadir.Dir) error {
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	return d.Write(NoteFile, append(text, '\n'))
}

// Run revives a data directory that was adopted. An error that wraps datadir.ErrPosition says that it is not what the snapshot says.
func Run(ctx context.Context, d *datadir.Dir, o Options) (Revived, error) {
	r, err := run(ctx, d, o)
	if err != nil {
		err = fmt.Errorf("revive data directory %q: %w", d.Path(), err)
	}
	return r, err
}

func run(ctx context.Context, d *datadir.Dir, o Options) (r Revived, err error) {
	n, err := readNote(d, o.Of)
	if err != nil {
		return r, err
	}
	if n.Done {
		r, _, err = Read(d, o.Of)
		if err == nil && o.Replica && !n.Quiet {
			r.Events, err = quiet(ctx, d, &n, o)
		}
		return r, err
	}
	var logs *datadir.Logs
	if o.Logs != "" {
		if logs, err = datadir.OpenLogs(o.Logs); err != nil {
			return r, err
		}
		defer logs.Close()
	}
	if n.Of == "" {
		if n, err = look(d, logs, o); err != nil {
			return r, err
		}
		if err := n.write(d); err != nil {
			return r, err
		}
	}
	if n.Index != "" && n.Outside != (logs != nil) {
		return r, fmt.Errorf("%s says that the binary log was elsewhere when this was begun", NoteFile)
	}
	if err := d.Forget(); err != nil {
		return r, err
	}
	if o.Owner != nil {
		if err := d.Give(*o.Owner); err != nil {
			return r, err
		}
		if logs != nil && n.Index != "" {
			if err := logs.Give(n.Index, *o.Owner); err != nil {
				return r, err
			}
		}
	}
	if r, err = recover(ctx, d, &n, logs, o); err != nil {
		return r, err
	}
	if r.Agrees, err = agrees(&r, &n, &o.Said); err != nil {
		return r, err
	}
	n.Done, n.InnoDB, n.Agrees, n.Notes, n.Quiet = true, r.InnoDB, r.Agrees, r.Notes, o.Replica
	if !r.Position.IsZero() {
		n.Position = r.Position.String()
	}
	return r, n.write(d)
}

// look adapts the data directory, and reads its last binary log, before any server is started.
func look(d *datadir.Dir, logs *datadir.Logs, o Options) (n note, err error) {
	var in binlogs = d
	if logs != nil {
		in = logs
	}
	list, named, err := in.BinaryLogs(o.Index) // before anything is changed
	if err != nil {
		return n, err
	}
	if len(named) > 0 {
		f, err := in.Open(named[len(named)-1])
		if errors.Is(err, fs.ErrNotExist) {
			return n, fmt.Errorf("%w: %s names %.200q, which is not beside it", ErrLog, list, named[len(named)-1])
		} else if err != nil {
			return n, err
		}
		f.Close()
	}
	done, identity, err := d.Adapt()
	if err != nil {
		return n, err
	}
	n = note{Of: o.Of, Identity: identity, Notes: done.Notes, Index: list, Outside: logs != nil}
	if n.Unclosed, err = d.Unclosed(); err != nil {
		return n, err
	}
	if logs != nil && list != "" {
		notes, err := logs.Adapt(list)
		if err != nil {
			return n, err
		}
		n.Notes = append(n.Notes, notes...)
	}
	if list == "" {
		n.Notes = append(n.Notes, "there is no list of binary logs in it: the server wrote none, or elsewhere, and no position is known")
		return n, nil
	}
	_, named, err = in.BinaryLogs(list)
	if err != nil || len(named) == 0 {
		return n, err
	}
	n.File = named[len(named)-1]
	span, torn, err := scan(in, n.File)
	if err != nil {
		return n, fmt.Errorf("read the last binary log: %w", err)
	}
	if torn != nil {
		n.Notes = append(n.Notes, fmt.Sprintf("%s is whole up to %d, where the server was writing", n.File, span.To))
	}
	n.Offset, n.GTIDs, n.Server, n.ServerID = span.To, span.After.String(), span.Format.Server, span.Format.ServerID
	return n, nil
}

// binlogs is a folder that has a binary log.
type binlogs interface {
	BinaryLogs(index string) (list string, logs []string, err error)
	Open(name string) (*os.File, error)
}

// scan reads a log up to where it is whole. Torn says why it is not whole beyond.
func scan(d binlogs, name string) (span binlog.Span, torn error, err error) {
	f, err := d.Open(name)
	if err != nil {
		return span, nil, err
	}
	defer f.Close()
	r, s := binlog.NewReader(f), &binlog.Scanner{}
	for {
		e, err := r.Next()
		if errors.Is(err, binlog.ErrEncrypted) {
			return span, nil, err
		}
		if err == nil {
			_, err = s.Add(&e)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			torn = err
			break
		}
	}
	span, err = s.Span()
	return span, torn, err
}

// ask asks a private server what it has recovered.
func ask(ctx context.Context, c *server.Session, n *note, log mysqldump.GTIDSet, r *Revived) error {
	id, err := c.Identity(ctx)
	if err != nil {
		return err
	}
	if err := c.Exec(ctx, "SET SESSION sql_log_bin=0"); err != nil {
		return err
	}
	executed := "@@GLOBAL.gtid_executed"
	if id.Flavor == mysqldump.MariaDB {
		executed = "@@GLOBAL.gtid_binlog_pos"
	} else if err := settle(ctx, c); err != nil {
		return err
	}
	if n.File == "" {
		return nil
	}
	row, err := c.Row(ctx, "SELECT "+executed)
	if err != nil {
		return err
	}
	has, err := mysqldump.ParseGTIDSet(string(row[0]))
	if err != nil {
		return err
	}
	r.Position = mysqldump.Position{File: n.File, Offset: n.Offset, GTIDs: has, Flavor: id.Flavor, Version: n.Server, ServerID: n.ServerID}
	if n.Identity != "" {
		if r.Position.ServerUUID, err = mysqldump.ParseUUID(n.Identity); err != nil {
			return err
		}
	}
	switch {
	case has.Equal(log) || has.IsZero() && log.IsZero():
	case has.Contains(log) && id.Flavor == mysqldump.MySQL:
		r.Position.File, r.Position.Offset = "", 0
		r.Notes = append(r.Notes, fmt.Sprintf("%v: the log has %s. Only GTIDs say where it stands", ErrAhead, log))
	default:
		return fmt.Errorf("%w: the server says %s, and its log has %s", datadir.ErrPosition, has, log)
	}
	return r.Position.Check()
}

// settle has a server of MySQL replicate from nobody, and looks that all of its files are its own.
func settle(ctx context.Context, c *server.Session) error {
	rows, err := c.Rows(ctx, "SELECT FILE_NAME FROM information_schema.FILES WHERE FILE_NAME LIKE '/%' OR FILE_NAME LIKE '../%' LIMIT 1")
	if err == nil && len(rows) > 0 {
		err = fmt.Errorf("%w: %.200q", datadir.ErrUnsafe, rows[0]["FILE_NAME"])
	}
	if err != nil {
		return fmt.Errorf("look for files outside of the data directory: %w", err)
	}
	return clone.Forget(ctx, c)
}

// agrees compares what was recovered with what the snapshot says.
func agrees(r *Revived, n *note, said *Said) (bool, error) {
	id, err := strconv.ParseUint(said.Server, 10, 32)
	switch {
	case said.File == "" && said.GTIDs == "" && said.GTIDSum == "":
		return false, nil
	case said.Server != "" && err != nil && n.Identity != "" && !strings.EqualFold(said.Server, n.Identity):
		return false, fmt.Errorf("%w: it is of server %s, and the snapshot says %.80q", datadir.ErrPosition, n.Identity, said.Server)
	case said.Server != "" && err == nil && n.ServerID != 0 && uint32(id) != n.ServerID:
		return false, fmt.Errorf("%w: it is of server_id %d, and the snapshot says %d", datadir.ErrPosition, n.ServerID, id)
	case said.File != "" && (said.File != r.Position.File || said.Offset != r.Position.Offset):
		return false, fmt.Errorf("%w: it recovered %s:%d, and the snapshot says %.200q:%d", datadir.ErrPosition, r.Position.File, r.Position.Offset, said.File, said.Offset)
	case said.GTIDs != "":
		set, err := mysqldump.ParseGTIDSet(said.GTIDs)
		if err != nil {
			return false, err
		}
		if !set.Equal(r.Position.GTIDs) {
			return false, fmt.Errorf("%w: it recovered %s, and the snapshot says %s", datadir.ErrPosition, r.Position.GTIDs, set)
		}
	case said.GTIDSum != "" && said.Sum != nil && said.Sum(r.Position.GTIDs.String()) != said.GTIDSum:
		return false, fmt.Errorf("%w: it recovered other GTIDs than the snapshot says (by their sum): %s", datadir.ErrPosition, r.Position.GTIDs)
	}
	return true, nil
}
