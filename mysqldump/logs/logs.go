// Package logs archives the binary logs of a server, the one that is being written too.
//
// A run takes what the archive before has, asks the server for what came since, and leaves out what nobody needs any
// more. Logs are kept in histories: as long as a server's logs follow each other, they are one. When a server begins anew
// (RESET MASTER), or another one stands in its place, its logs go into a history of their own, so that equal names of
// files do not meet.
//
// The invariant: a file has the bytes of the server's own, from the beginning to the offset that its Entry says: whole if
// the log is closed, else up to the end of a transaction. Each event was checked. Within a history nothing is missing
// between two files, unless the Entry of the second one says so.
//
// The package knows archives by a small interface, and keeps no state of its own.
package logs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
)

// A Tree takes the files of the archive that is made, by their paths.
type Tree interface {
	Create(name string) (File, error)
	// Keep takes the file of that name of the archive before, with its notes, unread. It reports whether that could be.
	Keep(name string) (bool, error)
	// KeepFolder is Keep for a folder with all that is in it, which are so many files of so many bytes.
	KeepFolder(name string, files, bytes uint64) (bool, error)
}

// A File is written from its beginning to its end. What it had in the archive before can be taken again.
type File interface {
	mysqldump.File
	// Block appends bytes that are stored by themselves.
	Block(data []byte) error
	// Same appends the next n bytes as the archive before has them. It returns how many it could take.
	Same(n int64) (int64, error)
}

// A Source has the binary logs of one server.
type Source interface {
	// Logs lists the logs, oldest first. The last one is being written.
	Logs(ctx context.Context) ([]Log, error)
	// Open returns a log's events from an offset on, where one begins.
	Open(ctx context.Context, name string, at uint64) (Events, error)
	Close() error
}

// A Log is a binary log of a server.
type Log struct {
	Name string
	Size uint64 // bytes
}

// Events are those of one log, in order.
type Events interface {
	// First returns the log's first event, wherever the others begin.
	First() []byte
	// Next returns the next event, which is valid until the call after. The error is io.EOF at the end of the log, as far as
	// it is written.
	Next() ([]byte, error)
	// Closed reports, after io.EOF, whether another log follows.
	Closed() bool
	Close() error
}

// An Entry says what the archive has of a log.
type Entry struct {
	History string
	Name    string
	Size    uint64 // bytes of the file
	Closed  bool   // nothing more will come
	Span    binlog.Span

	ServerID   uint32
	ServerUUID mysqldump.UUID // zero of MariaDB
	Flavor     mysqldump.Flavor

	Block uint64 // where the file's last block begins, which is written again when the log goes on
	Gap   Case   // why what came before it is not there; empty: nothing is missing
	Long  bool   // its GTIDs are too many for notes, and left out

	unread bool // only History, Name and Size are known
}

// Folder returns the folder of the file in a Tree. Each hundred logs of a history have one, so that it can be kept as a
// whole when it is full: bin.000123 is in HISTORY/bin.0001xx.
func (e *Entry) Folder() string {
	if _, _, ok := number(e.Name); !ok || len(e.Name)-strings.LastIndexByte(e.Name, '.') < 3 {
		return e.History
	}
	return e.History + "/" + e.Name[:len(e.Name)-2] + "xx"
}

// Path returns the name of the file in a Tree.
func (e *Entry) Path() string { return e.Folder() + "/" + e.Name }

// A Case is something that breaks the chain of logs.
type Case string

// The cases.
const (
	Purged   Case = "purged"   // the server threw logs away that the archive did not have
	Reset    Case = "reset"    // the server was told to begin its logs anew
	Replaced Case = "replaced" // another server answers where the archived one did
	Renamed  Case = "renamed"  // the logs have another name now
	Cut      Case = "cut"      // the server's log is shorter than what the archive has of it: it crashed
	Broken   Case = "broken"   // GTIDs say that something is missing between two logs
	Lost     Case = "lost"     // a file of the archive before is damaged, and the server does not have it any more
)

// A Break is a place where the chain of logs is broken.
type Break struct {
	Case Case
	At   string // the log with which it goes on
	Says string
}

// The notes of a file.
const (
	noteLog    = "log"
	noteBefore = "before"
	noteGTIDs  = "gtids"
	noteAfter  = "after"
	maxNotes   = 3 << 10 // bytes of all sets: notes that are longer are stored where only a recovery key reads them
)

// noted is an Entry as its file's note has it.
type noted struct {
	Closed       bool      `json:"closed"`
	To           uint64    `json:"to"`
	First        time.Time `json:"first,omitzero"`
	Last         time.Time `json:"last,omitzero"`
	Transactions uint64    `json:"transactions"`
	Identity     string    `json:"identity"`
	Created      time.Time `json:"created"`
	Version      string    `json:"version"`
	Started      bool      `json:"started,omitempty"`
	Checksums    bool      `json:"checksums,omitempty"`
	Ends         uint8     `json:"ends,omitempty"`
	Next         string    `json:"next,omitempty"`
	Broken       int       `json:"broken,omitempty"`
	Backward     bool      `json:"backward,omitempty"`
	ServerID     uint32    `json:"server_id"`
	ServerUUID   string    `json:"server_uuid,omitempty"`
	Flavor       string    `json:"flavor"`
	Block        uint64    `json:"block"`
	Gap          Case      `json:"gap,omitempty"`
	Long         bool      `json:"long,omitempty"`
}

// note writes the Entry down.
func (e *Entry) note(f File) error {
	s := &e.Span
	sets := map[string]string{noteBefore: s.Before.String(), noteGTIDs: s.GTIDs.String(), noteAfter: s.After.String()}
	e.Long = len(sets[noteBefore])+len(sets[noteGTIDs])+len(sets[noteAfter]) > maxNotes
	for name, set := range sets {
		if set == "" || e.Long {
			continue
		}
		if err := f.Note(name, set); err != nil {
			return err
		}
	}
	n := noted{
		Closed: e.Closed, To: s.To, First: s.First, Last: s.Last, Transactions: s.Transactions, Identity: s.Identity, Created: s.Format.Created, Version: s.Format.Server,
		Started: s.Format.Started, Checksums: s.Format.Checksums,
		Ends: uint8(s.Ends), Next: s.Next, Broken: s.Broken, Backward: s.Backward, ServerID: e.ServerID, Flavor: string(e.Flavor), Block: e.Block, Gap: e.Gap, Long: e.Long,
	}
	if !e.ServerUUID.IsZero() {
		n.ServerUUID = e.ServerUUID.String()
	}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return f.Note(noteLog, string(text))
}

// Read returns the Entry of a file of an archive, by its name below the archive's folder, its size and its notes.
func Read(f mysqldump.SourceFile) (e Entry, err error) {
	e, err = read(f)
	if err != nil {
		return Entry{}, fmt.Errorf("read notes of binary log %q: %w", f.Name, err)
	}
	return e, nil
}

func read(f mysqldump.SourceFile) (e Entry, err error) {
	var n noted
	if err := json.Unmarshal([]byte(f.Notes[noteLog]), &n); err != nil {
		return e, err
	}
	e = Entry{
		Size: uint64(f.Size), Closed: n.Closed, ServerID: n.ServerID, Flavor: mysqldump.Flavor(n.Flavor), Block: n.Block, Gap: n.Gap, Long: n.Long,
		Span: binlog.Span{
			To: n.To, First: n.First, Last: n.Last, Transactions: n.Transactions, Identity: n.Identity, Ends: binlog.Type(n.Ends), Next: n.Next, Broken: n.Broken, Backward: n.Backward,
			Format: binlog.Format{Server: n.Version, Created: n.Created, Started: n.Started, Checksums: n.Checksums, ServerID: n.ServerID},
		},
	}
	if err := e.name(f.Name); err != nil {
		return e, err
	}
	if e.Block > e.Size || n.To > e.Size || n.Identity == "" {
		return e, fmt.Errorf("they contradict each other")
	}
	if n.ServerUUID != "" {
		if e.ServerUUID, err = mysqldump.ParseUUID(n.ServerUUID); err != nil {
			return e, err
		}
	}
	for name, set := range map[string]*mysqldump.GTIDSet{noteBefore: &e.Span.Before, noteGTIDs: &e.Span.GTIDs, noteAfter: &e.Span.After} {
		if *set, err = mysqldump.ParseGTIDSet(f.Notes[name]); err != nil {
			return e, err
		}
	}
	return e, nil
}

// name takes the name of a file.
func (e *Entry) name(path string) error {
	e.Name = path[strings.LastIndexByte(path, '/')+1:]
	if e.History, _, _ = strings.Cut(path, "/"); e.Name == "" || e.History == "" || e.Path() != path {
		return fmt.Errorf("no log has this name")
	}
	return nil
}

// number splits the name of a log into what all of its server begin with, and its number.
func number(name string) (base string, n uint64, ok bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return name, 0, false
	}
	n, err := strconv.ParseUint(name[dot+1:], 10, 64)
	return name[:dot], n, err == nil
}
