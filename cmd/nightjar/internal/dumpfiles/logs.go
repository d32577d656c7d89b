package dumpfiles

import (
	"context"
	"fmt"
	"strings"

	"nightjar/backup/browse"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/mysqldump"
	"nightjar/mysqldump/logs"
	"nightjar/repo"
	"nightjar/repo/tree"
)

// ArchivedLogs returns what an archive has of binary logs; nothing without an archive.
func ArchivedLogs(ctx context.Context, s *session.Session, a *repo.Archive) (all []logs.Entry, err error) {
	if a == nil || a.Kind != Binlog {
		return nil, nil
	}
	err = eachLog(ctx, s, a, "", func(name string, n *tree.Node) error {
		e, err := readLog(name, n)
		all = append(all, e)
		return err
	})
	logs.Sort(all)
	return all, err
}

// ArchivedNames is ArchivedLogs for a run, which reads more than names only where it needs it, but for the last folder: unless all is asked
// for, or the archive has several histories, whose order their notes say.
func ArchivedNames(ctx context.Context, s *session.Session, a *repo.Archive, all bool) (names []logs.Entry, err error) {
	if all || a == nil || a.Kind != Binlog {
		return ArchivedLogs(ctx, s, a)
	}
	several := false
	err = eachLog(ctx, s, a, "", func(name string, n *tree.Node) error {
		e, err := logs.Unread(name, n.Size)
		several = several || len(names) > 0 && names[0].History != e.History
		names = append(names, e)
		return err
	})
	if err == nil && several {
		return ArchivedLogs(ctx, s, a)
	}
	if err != nil || len(names) == 0 {
		return names, err
	}
	logs.Sort(names)
	folder := names[len(names)-1].Folder()
	last, err := LogsIn(ctx, s, a, folder)
	if err != nil {
		return nil, err
	}
	logs.Sort(last)
	first := len(names) - len(last)
	if first < 0 || len(last) == 0 || names[first].Folder() != folder {
		return ArchivedLogs(ctx, s, a)
	}
	return append(names[:first], last...), nil
}

// LogsIn returns the logs in one folder of an archive.
func LogsIn(ctx context.Context, s *session.Session, a *repo.Archive, folder string) (all []logs.Entry, err error) {
	err = eachLog(ctx, s, a, folder, func(name string, n *tree.Node) error {
		e, err := readLog(name, n)
		all = append(all, e)
		return err
	})
	return all, err
}

// eachLog calls f with the files of an archive's binary logs, by their names below its folder of them: all, or those in a folder there.
func eachLog(ctx context.Context, s *session.Session, a *repo.Archive, folder string, f func(name string, n *tree.Node) error) error {
	reader, err := s.NewReaderFor(ctx, a)
	if err != nil {
		return err
	}
	at := BinlogFolder
	if folder != "" {
		at += "/" + folder
	}
	err = browse.List(ctx, reader, a, at, folder == "", func(name string, n *tree.Node) error {
		if !n.IsRegular() {
			return nil
		}
		return f(strings.TrimPrefix(name, "/"+BinlogFolder+"/"), n)
	})
	if err != nil {
		return fmt.Errorf("read archive %s: %w", show.ShortID(a), err)
	}
	return nil
}

func readLog(name string, n *tree.Node) (logs.Entry, error) {
	return logs.Read(mysqldump.SourceFile{Name: name, Size: int64(n.Size), Notes: n.Notes()})
}
