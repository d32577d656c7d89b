package server_test

import (
	"os"
	"path/filepath"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

func TestPaused(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a[b]*")
	id := server.Identity{Hostname: "h", Port: 3306, ServerID: 2}
	at := func(offset uint64) mysqldump.Position { return mysqldump.Position{File: "bin.000001", Offset: offset} }
	p := server.Paused{Hostname: "h", Port: 3306, ServerID: 2, Channel: "it's", From: at(100)}
	note, err := server.NotePaused(folder, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.NotePaused(folder, p); err == nil {
		t.Error("two hold one note")
	}
	if left, _, err := server.LeftPaused(folder); len(left) != 0 || err != nil {
		t.Errorf("a note that is held is found: %v, %v", left, err)
	}
	p.Until = at(200)
	if err := note.Change(p); err != nil {
		t.Fatal(err)
	}
	if err := note.Close(); err != nil {
		t.Fatal(err)
	}
	left, notes, err := server.LeftPaused(folder)
	if len(left) != 1 || err != nil || !left[0].Until.Equal(p.Until) || left[0].Channel != p.Channel || !left[0].Of(id) {
		t.Fatalf("found %+v, %v", left, err)
	}
	for offset, want := range map[uint64]bool{99: false, 100: true, 150: true, 200: true, 201: false} {
		if left[0].Left(at(offset)) != want {
			t.Errorf("at %d it is as it was left: %v", offset, !want)
		}
	}
	if err := notes[0].Remove(); err != nil {
		t.Fatal(err)
	}
	if left, _, err := server.LeftPaused(folder); len(left) != 0 || err != nil {
		t.Errorf("a removed note is found: %v, %v", left, err)
	}
	if err := os.WriteFile(filepath.Join(folder, "mysql-0.paused"), []byte(`{"Port":99999999}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.LeftPaused(folder); err == nil {
		t.Error("a note that is none is taken")
	}
	if note, err := server.NotePaused("", p); err != nil || note.Change(p) != nil || note.Remove() != nil {
		t.Error("without a folder no note is taken")
	}
}
