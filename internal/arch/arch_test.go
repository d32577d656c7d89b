// Package arch_test holds the tree to its layers and house rules: who may import whom, what a library
// may not do, that every package says what it is for, and that every fuzz target starts from seeds.
// It reads the sources and nothing else, so files that other build tags leave out are judged too. It
// goes by names: a call that is hidden behind a variable passes.
package arch_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "nightjar"

var checks = []struct {
	name string
	find func(fs.FS, []source) []string
}{
	{"imports", againstArrows},
	{"libraries", libraryOffences},
	{"clock", clockOffences},
	{"comments", withoutComment},
	{"size", tooLong},
	{"seeds", withoutSeeds},
	{"schemes", asksForScheme},
}

func TestTree(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !strings.HasPrefix(string(gomod), "module "+module+"\n") {
		t.Fatalf("%s is not the root of module %s: %v", root, module, err)
	}
	tree := os.DirFS(root)
	sources, err := load(tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			for _, offence := range c.find(tree, sources) {
				t.Error(offence)
			}
		})
	}
}

// Each check must see what it is there for. want is part of the one offence, or empty for none.
func TestChecks(t *testing.T) {
	const doc = "// Package p is.\n"
	for _, c := range []struct{ name, check, path, src, want string }{
		{"arrow", "imports", "repo/r.go", `package repo; import _ "nightjar/repo/pack"`, ""},
		{"against the arrows", "imports", "repo/pack/p.go", `package pack; import _ "nightjar/repo"`, "repo/pack/p.go: repo/pack may not import repo"},
		{"secret halves of keys", "imports", "crypto/gnupg/g.go", `package gnupg; import _ "nightjar/crypto/internal/cert"`, "crypto/gnupg may not import crypto/internal/cert"},
		{"databases apart from the repository", "imports", "mysqldump/d.go", `package mysqldump; import _ "nightjar/repo"`, "mysqldump may not import repo"},
		{"room of a kind of stores", "imports", "repo/store/s3/listing/l.go", `package listing; import _ "nightjar/repo/store/s3/request"`, ""},
		{"room of another kind", "imports", "repo/store/s3/s.go", `package s3; import _ "nightjar/repo/store/sftp/login"`, "repo/store/s3 may not import repo/store/sftp/login"},
		{"two layers down", "imports", "backup/b.go", `package backup; import _ "nightjar/repo/pack"`, "backup may not import repo/pack"},
		{"all that repo uses", "imports", "repo/maintain/prune/p.go", `package prune; import _ "nightjar/repo/pack"`, ""},
		{"command", "imports", "cmd/nightjar/m.go", `package main; import _ "nightjar/repo/pack"`, ""},
		{"room of a command", "imports", "cmd/nightjar/commands/mysql/replicas/r.go", `package replicas; import _ "nightjar/cmd/nightjar/commands/mysql/load"`, ""},
		{"command known to what commands share", "imports", "cmd/nightjar/internal/app/a.go", `package app; import _ "nightjar/cmd/nightjar/commands/files"`, "cmd/nightjar/internal/app may not import cmd/nightjar/commands/files"},
		{"command imported", "imports", "repo/r.go", `package repo; import _ "nightjar/cmd/nightjar"`, "repo may not import cmd/nightjar"},
		{"shared helper", "imports", "chunk/c.go", `package chunk; import _ "nightjar/internal/tempdir"`, ""},
		{"helper that reaches up", "imports", "internal/tempdir/t.go", `package tempdir; import _ "nightjar/chunk"`, "internal/tempdir may not import chunk"},
		{"benchmark imported", "imports", "chunk/c.go", `package chunk; import _ "nightjar/internal/bench/workload"`, "chunk may not import internal/bench/workload"},
		{"test server in a test", "imports", "repo/r_test.go", `package repo; import _ "nightjar/internal/s3test"`, ""},
		{"test server in earnest", "imports", "cmd/nightjar/m.go", `package main; import _ "nightjar/internal/s3test"`, "cmd/nightjar may not import internal/s3test"},
		{"own external test", "imports", "chunk/c_test.go", `package chunk_test; import _ "nightjar/chunk"`, ""},
		{"faulty store in a test", "imports", "repo/r_test.go", `package repo; import _ "nightjar/repo/store/storetest"`, ""},
		{"faulty store in earnest", "imports", "repo/r.go", `package repo; import _ "nightjar/repo/store/storetest"`, "may not import repo/store/storetest"},
		{"directory in a test", "imports", "repo/r_test.go", `package repo; import _ "nightjar/repo/store/directory"`, ""},
		{"directory in earnest", "imports", "repo/r.go", `package repo; import _ "nightjar/repo/store/directory"`, "may not import repo/store/directory"},
		{"sites in a test", "imports", "backup/browse/b_test.go", `package browse; import _ "nightjar/backup/backuptest"`, ""},
		{"sites in earnest", "imports", "backup/browse/b.go", `package browse; import _ "nightjar/backup/backuptest"`, "may not import backup/backuptest"},
		{"test two layers down", "imports", "backup/b_test.go", `package backup; import _ "nightjar/repo/store"`, ""},
		{"test against the arrows", "imports", "chunk/c_test.go", `package chunk; import _ "nightjar/repo"`, "chunk may not import repo"},
		{"nobody's package", "imports", "misc/m.go", `package misc`, "misc is not in the table"},

		{"scheme by its name", "schemes", "repo/r.go", `package repo; import "nightjar/repo/store"; const s = store.SchemeFile`, "repo/r.go:1: asks for a scheme"},
		{"scheme compared", "schemes", "cmd/nightjar/c.go", `package main; func f(l struct{ Scheme string }) bool { return l.Scheme != "s3" }`, "cmd/nightjar/c.go:1: asks for a scheme"},
		{"scheme in the table", "schemes", "cmd/nightjar/internal/place/p.go", `package place; func f(l struct{ Scheme string }) bool { return l.Scheme == "s3" }`, ""},

		{"log", "libraries", "repo/r.go", `package repo; import _ "log"`, "repo/r.go:1: imports log"},
		{"slog", "libraries", "repo/r.go", `package repo; import _ "log/slog"`, "imports log/slog"},
		{"exec", "libraries", "repo/r.go", `package repo; import _ "os/exec"`, "imports os/exec"},
		{"exec of gpg", "libraries", "crypto/c.go", `package crypto; import _ "os/exec"`, "programs are started by internal/child"},
		{"exec of a command", "libraries", "cmd/nightjar/m.go", `package main; import _ "os/exec"`, "programs are started by internal/child"},
		{"exec of the one that may", "libraries", "internal/child/c.go", `package child; import _ "os/exec"`, ""},
		{"dot import", "libraries", "repo/r.go", `package repo; import . "os"`, `imports os as "."`},
		{"exit", "libraries", "repo/r.go", "package repo\nimport \"os\"\nfunc f() { os.Exit(1) }", "repo/r.go:3: uses os.Exit"},
		{"renamed", "libraries", "repo/r.go", `package repo; import sys "os"; func f() { sys.Exit(1) }`, "uses os.Exit"},
		{"environment", "libraries", "repo/r.go", `package repo; import "os"; var f = os.LookupEnv`, "uses os.LookupEnv"},
		{"print", "libraries", "repo/r.go", `package repo; import "fmt"; func f() { fmt.Printf("") }`, "uses fmt.Printf"},
		{"print to stderr", "libraries", "repo/r.go", `package repo; import ("fmt"; "os"); func f() { fmt.Fprintln(os.Stderr) }`, "uses os.Stderr"},
		{"init", "libraries", "repo/r.go", `package repo; func init() {}`, "has an init function"},
		{"command may", "libraries", "cmd/nightjar/m.go", `package main; import "os"; func main() { os.Exit(len(os.Getenv("A"))) }`, ""},
		{"environment of a room", "libraries", "cmd/nightjar/commands/files/f.go", `package files; import "os"; var f = os.Getenv`, "uses os.Getenv"},
		{"output of a room", "libraries", "cmd/nightjar/commands/files/f.go", `package files; import ("fmt"; "os"); func f() { fmt.Fprintln(os.Stdout) }`, "uses os.Stdout"},
		{"test may", "libraries", "repo/r_test.go", `package repo; import "os"; func f() { os.Exit(1) }`, ""},
		{"temp file", "libraries", "repo/r.go", `package repo; import "os"; func f() { os.CreateTemp("", "") }`, "uses os.CreateTemp"},
		{"temp file of a command", "libraries", "cmd/nightjar/m.go", `package main; import "os"; var d = os.TempDir()`, "uses os.TempDir"},
		{"temp file of the temp package", "libraries", "internal/tempdir/t.go", `package tempdir; import "os"; func f() { os.CreateTemp("d", "") }`, ""},
		{"varint", "libraries", "repo/r.go", `package repo; import "encoding/binary"; var f = binary.Uvarint`, "lengths are decoded by internal/wire"},
		{"varint of a command", "libraries", "cmd/nightjar/m.go", `package main; import b "encoding/binary"; var f = b.ReadVarint`, "uses encoding/binary.ReadVarint"},
		{"varint that is written", "libraries", "repo/r.go", `package repo; import "encoding/binary"; var f = binary.AppendUvarint`, ""},
		{"varint of the one that may", "libraries", "internal/wire/w.go", `package wire; import "encoding/binary"; var f = binary.Uvarint`, ""},

		{"clock", "clock", "repo/r.go", "package repo\nimport \"time\"\nvar t = time.Now()", "repo/r.go:3: uses time.Now"},
		{"clock that is the field's", "clock", "repo/r.go", `package repo; import "time"; var now = time.Now; var t = now()`, ""},
		{"time that passed", "clock", "repo/r.go", `package repo; import "time"; func f(t time.Time) any { return time.Since(t) }`, "uses time.Since"},
		{"time of that name", "clock", "repo/r.go", `package repo; import now "time"; var t = now.Until`, "uses time.Until"},
		{"sleep", "clock", "repo/r.go", `package repo; import "time"; func f() { time.Sleep(1) }`, "uses time.Sleep"},
		{"timer", "clock", "repo/r.go", `package repo; import "time"; func f() { <-time.After(1) }`, ""},
		{"clock of a command", "clock", "cmd/nightjar/m.go", `package main; import "time"; var t = time.Now()`, ""},
		{"clock of a test", "clock", "repo/r_test.go", `package repo; import "time"; var t = time.Now()`, ""},
		{"clock of one that may", "clock", "crypto/gnupg/gnupg.go", `package gnupg; import "time"; var t = time.Now()`, ""},

		{"long function", "size", "repo/r.go", funcOf(71), "repo/r.go:2: f has 71 lines"},
		{"function that is just not", "size", "repo/r.go", funcOf(70), ""},
		{"long file", "size", "cmd/nightjar/m.go", fileOf(401), "cmd/nightjar/m.go: has 401 lines"},
		{"file that is just not", "size", "repo/r.go", fileOf(400), ""},
		{"long test", "size", "repo/r_test.go", fileOf(401) + funcOf(71)[13:], ""},

		{"comment", "comments", "chunk/c.go", "// Package chunk is.\npackage chunk", ""},
		{"command's comment", "comments", "cmd/nightjar/c.go", "// Command nightjar is.\npackage main", ""},
		{"no comment", "comments", "chunk/c.go", "package chunk", "chunk has no package comment"},
		{"another comment", "comments", "chunk/c.go", "// TODO\npackage chunk", "chunk has no package comment"},

		{"seed", "seeds", "chunk/c_test.go", doc + `package p; import "testing"; func FuzzA(f *testing.F) { f.Add(1) }`, ""},
		{"seed in a loop", "seeds", "chunk/c_test.go", doc + `package p; import "testing"; func FuzzA(x *testing.F) { for range 3 { x.Add(1) } }`, ""},
		{"no seed", "seeds", "chunk/c_test.go", doc + `package p; import "testing"; func FuzzA(f *testing.F) { f.Fuzz(nil) }`, "chunk/c_test.go:2: FuzzA has no seeds"},
		{"other than a target", "seeds", "chunk/c_test.go", doc + `package p; func Fuzzy() {}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, c.check, fstest.MapFS{c.path: {Data: []byte(c.src)}}, c.want)
		})
	}
}

func TestSeedsInFiles(t *testing.T) {
	target := &fstest.MapFile{Data: []byte(`package p; import "testing"; func FuzzA(f *testing.F) { f.Fuzz(nil) }`)}
	expect(t, "seeds", fstest.MapFS{"chunk/c_test.go": target, "chunk/testdata/fuzz/FuzzA/1": {}}, "")
	expect(t, "seeds", fstest.MapFS{"chunk/c_test.go": target, "chunk/testdata/fuzz/FuzzB/1": {}}, "FuzzA has no seeds")
}

// One file of a package may speak for all of them.
func TestCommentInAnotherFile(t *testing.T) {
	expect(t, "comments", fstest.MapFS{
		"chunk/a.go": {Data: []byte("// Package chunk is.\npackage chunk")},
		"chunk/b.go": {Data: []byte("package chunk")},
	}, "")
	expect(t, "comments", fstest.MapFS{
		"chunk/a_test.go": {Data: []byte("// Package chunk is.\npackage chunk")},
		"chunk/b.go":      {Data: []byte("package chunk")},
	}, "chunk has no package comment")
}

func expect(t *testing.T, check string, tree fstest.MapFS, want string) {
	t.Helper()
	sources, err := load(tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if c.name != check {
			continue
		}
		offences := c.find(tree, sources)
		switch {
		case want == "" && len(offences) > 0:
			t.Errorf("found %q, want nothing", offences)
		case want != "" && (len(offences) != 1 || !strings.Contains(offences[0], want)):
			t.Errorf("found %q, want one with %q", offences, want)
		}
		return
	}
	t.Fatalf("no check %q", check)
}
