package logs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"nightjar/mysqldump/binlog"
)

// folderSource reads the files of a server's binary logs.
type folderSource struct {
	folder string
	list   func(ctx context.Context) ([]Log, error)
	last   string // being written
}

// FromFolder returns a Source that reads the files themselves, in the folder where the server has them. The server is
// asked which there are. The files of a server that encrypts them are of no use.
func FromFolder(folder string, srv Source) Source {
	return &folderSource{folder: folder, list: srv.Logs}
}

func (s *folderSource) Logs(ctx context.Context) ([]Log, error) {
	all, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	s.last = all[len(all)-1].Name
	return all, nil
}

func (s *folderSource) Open(ctx context.Context, name string, at uint64) (Events, error) {
	if name != filepath.Base(name) || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("read binary log: %q is no name of one", name)
	}
	f, err := os.Open(filepath.Join(s.folder, name))
	if err != nil {
		return nil, fmt.Errorf("read binary log: %w", err)
	}
	e := &fileEvents{ctx: ctx, file: f, closed: name != s.last, r: binlog.NewReader(bufio.NewReaderSize(f, 1<<20))}
	if err := e.begin(at); err != nil {
		f.Close()
		return nil, fmt.Errorf("read binary log %s: %w", name, err)
	}
	return e, nil
}

// begin reads the first event, and goes to the offset.
func (e *fileEvents) begin(at uint64) error {
	first, err := e.r.Next()
	if err != nil {
		return err
	}
	e.first = append([]byte{}, first.Raw...)
	if !e.closed {
		e.first[17] &^= binlog.FlagInUse // as it will be
	}
	for range 2 { // what follows may say that all else is encrypted
		if _, err := e.r.Next(); errors.Is(err, binlog.ErrEncrypted) {
			return err
		}
	}
	if at == binlog.Start {
		e.ahead = e.first
		at += uint64(len(e.first))
	}
	if _, err := e.file.Seek(int64(at), io.SeekStart); err != nil {
		return err
	}
	e.r, err = binlog.ResumeReader(bufio.NewReaderSize(e.file, 1<<20), e.first, at)
	return err
}

func (s *folderSource) Close() error { return nil }

type fileEvents struct {
	ctx          context.Context
	file         *os.File
	closed       bool
	r            *binlog.Reader
	first, ahead []byte
}

func (e *fileEvents) First() []byte { return e.first }

func (e *fileEvents) Next() ([]byte, error) {
	if raw := e.ahead; raw != nil {
		e.ahead = nil
		return raw, nil
	}
	if err := context.Cause(e.ctx); err != nil {
		return nil, err
	}
	next, err := e.r.Next()
	if errors.Is(err, io.ErrUnexpectedEOF) && !e.closed { // the server is writing it
		err = io.EOF
	}
	return next.Raw, err
}

func (e *fileEvents) Closed() bool { return e.closed }
func (e *fileEvents) Close() error { return e.file.Close() }
