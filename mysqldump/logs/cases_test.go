package logs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/logs"
	"nightjar/mysqldump/servertest"
)

// A server that encrypts its logs sends them in plain, and so they are saved; its files are refused.
func TestEncrypted(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	keys := filepath.Join(s.Dir, "keys")
	if err := os.WriteFile(keys, []byte("1;770A8A65DA156D24EE2A093277530142\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Restart(t, "--plugin-load-add=file_key_management", "--file-key-management-filename="+keys, "--encrypt-binlog")
	x := newSite(t, s)
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (v VARCHAR(20)) ENGINE=InnoDB", "INSERT INTO d.t VALUES ('first row')", "FLUSH BINARY LOGS", "INSERT INTO d.t VALUES ('second row')")
	r, a := x.save(logs.Options{})
	for _, e := range r.Entries {
		saved := binlog.NewReader(bytes.NewReader(a.files[e.Path()].content))
		err := error(nil)
		for err == nil {
			_, err = saved.Next()
		}
		if err != io.EOF || saved.At() != e.Size {
			t.Errorf("%s is read up to %d of %d: %v", e.Name, saved.At(), e.Size, err)
		}
	}
	if last := a.files[r.Entries[len(r.Entries)-1].Path()].content; !bytes.Contains(last, []byte("second row")) {
		t.Errorf("the last row is not in %q", last)
	}
	s.Exec(t, "INSERT INTO d.t VALUES ('third row')")
	source := logs.FromFolder(s.Datadir, x.source())
	for _, before := range [][]logs.Entry{nil, r.Entries} { // from the beginning, and going on
		if _, err := logs.Run(t.Context(), x.srv, source, before, &archive{before: a, files: map[string]*file{}}, logs.Options{}); !errors.Is(err, binlog.ErrEncrypted) {
			t.Errorf("read from the folder: %v", err)
		}
	}
	x.save(logs.Options{})
}
