package logs

import (
	"fmt"
	"slices"

	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
)

// A beginning says where a run goes on.
type beginning struct {
	first  int  // of the server's logs
	goesOn bool // it belongs to the history that the archive before ends with
	same   bool // it is the log that the archive before ends with
}

// begin finds the log of the server with which the archive goes on.
func (r *run) begin() (beginning, error) {
	if len(r.before) == 0 {
		return beginning{}, nil
	}
	last := &r.before[len(r.before)-1]
	for i, log := range r.list {
		if log.Name == last.Name {
			return r.beginAt(i, last)
		}
	}
	ours, n, ok1 := number(last.Name)
	theirs, m, ok2 := number(r.list[0].Name)
	switch next := r.list[0].Name; {
	case !r.sameServer(last):
		r.broken(Replaced, next, r.replaced(last))
		return beginning{}, nil
	case ours != theirs || !ok1 || !ok2:
		r.broken(Renamed, next, fmt.Sprintf("the server's logs were called %s, and now %s: what is between them is not known", last.Name, next))
		return beginning{}, nil
	case m <= n:
		r.broken(Reset, next, r.reset(last))
		return beginning{}, nil
	case m == n+1 && last.Closed: // it was thrown away after it was archived
		return beginning{goesOn: true}, nil
	}
	r.broken(Purged, r.list[0].Name, fmt.Sprintf("the server threw away what comes after offset %d of %s, up to the beginning of %s: it is lost", last.Size, last.Name, r.list[0].Name))
	return beginning{goesOn: true}, nil
}

// beginAt goes on with the log that the archive before ends with, if it is the same.
func (r *run) beginAt(i int, last *Entry) (beginning, error) {
	same, err := r.same(last)
	switch log := r.list[i]; {
	case err != nil:
		return beginning{}, err
	case !same && r.sameServer(last):
		r.broken(Reset, r.list[0].Name, r.reset(last))
		return beginning{}, nil
	case !same:
		r.broken(Replaced, r.list[0].Name, r.replaced(last))
		return beginning{}, nil
	case log.Size < last.Size:
		r.broken(Cut, log.Name, fmt.Sprintf("the server has %d bytes of %s, and the archive %d: it crashed, and lost the end. What a replica or an archive has of it, the server has not", log.Size, log.Name, last.Size))
		return beginning{first: i}, nil
	case last.Closed:
		return beginning{first: i + 1, goesOn: true}, nil
	}
	return beginning{first: i, goesOn: true, same: true}, nil
}

func (r *run) sameServer(e *Entry) bool {
	return e.ServerID == r.id.ServerID && e.ServerUUID == r.id.ServerUUID && e.Flavor == r.id.Flavor
}

func (r *run) reset(last *Entry) string {
	return fmt.Sprintf("the server began its logs anew (RESET MASTER) after %s was archived up to offset %d: what it wrote after that and before is lost", last.Name, last.Size)
}

func (r *run) replaced(last *Entry) string {
	who := func(id uint32, uuid mysqldump.UUID) string {
		if uuid.IsZero() {
			return fmt.Sprintf("server %d", id)
		}
		return fmt.Sprintf("server %d (%v)", id, uuid)
	}
	return fmt.Sprintf("%s answers, and the logs up to offset %d of %s are of %s", who(r.id.ServerID, r.id.ServerUUID), last.Size, last.Name, who(last.ServerID, last.ServerUUID))
}

// link notes what is missing between a log and the one before it, which is the last so far.
func (r *run) link(e *Entry) error {
	n := len(r.result.Entries)
	if n == 0 || r.result.Entries[n-1].History != e.History || e.Gap != "" {
		return nil
	}
	if err := r.read(&r.result.Entries[n-1]); err != nil {
		return err
	}
	if says := missing(&r.result.Entries[n-1], e); says != "" {
		e.Gap = Broken
		r.result.Breaks = append(r.result.Breaks, Break{Case: Broken, At: e.Name, Says: says})
	}
	return nil
}

// follows reports whether the numbers of two logs follow each other.
func follows(was, e *Entry) bool {
	_, n, ok1 := number(was.Name)
	_, m, ok2 := number(e.Name)
	return ok1 && ok2 && m == n+1
}

// missing says what is missing between two logs; empty: nothing, as far as numbers and GTIDs say.
func missing(was, e *Entry) string {
	switch {
	case !follows(was, e):
		return fmt.Sprintf("%s does not follow %s", e.Name, was.Name)
	case was.Span.Next != "" && was.Span.Next != e.Name:
		return fmt.Sprintf("%s says that %s follows, and %s does", was.Name, was.Span.Next, e.Name)
	case was.Long || e.Long:
		return ""
	case e.Span.Before.Contains(was.Span.After): // MySQL's may have more: gtid_purged was set
		return ""
	}
	return fmt.Sprintf("before %s were %v, and %s and all before it have %v", e.Name, e.Span.Before, was.Name, was.Span.After)
}

// newHistory names the history that begins with a log: the server, when the log was begun, and a part of its identity.
// A server that begins its logs anew twice in a second gets a number besides.
func (r *run) newHistory(s *binlog.Span) string {
	base := fmt.Sprintf("server-%d-%s-%.8s", s.Format.ServerID, s.Format.Created.UTC().Format("20060102T150405Z"), s.Identity)
	name := base
	for n := 2; slices.ContainsFunc(r.before, func(e Entry) bool { return e.History == name }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}
