package arch_test

import (
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// What repo leans on, and what maintains it.
var underRepo = []string{"repo/pack", "repo/tree", "repo/walk", "repo/index", "repo/lookup", "repo/record", "repo/lists", "repo/spool", "repo/blocks", "repo/register", "repo/ledger", "repo/sealed", "repo/view", "repo/fetch", "repo/keyring", "repo/store", "crypto", "chunk", "chunk/delta"}

var aboveRepo = append([]string{"repo", "repo/save"}, underRepo...)

// arrows says which of our packages each package may import besides internal ones; it may be that a
// listed package does not exist yet. Commands may import everything, but what they share knows no command.
var arrows = map[string][]string{
	"chunk":                {},
	"chunk/delta":          {"chunk"},
	"crypto":               {"crypto/internal/cert", "crypto/internal/framing"},
	"crypto/internal/cert": {"crypto/internal/framing"}, // knows secret halves: none but crypto may import it
	"crypto/gnupg":         {"crypto"},                  // it gives keys
	"repo":                 {"crypto", "repo/blocks", "repo/create", "repo/fetch", "repo/index", "repo/keyring", "repo/ledger", "repo/lists", "repo/lookup", "repo/pack", "repo/record", "repo/sealed", "repo/store", "repo/view"},
	"repo/pack":            {"chunk"},
	"repo/tree":            {"chunk"},
	"repo/walk":            {"chunk", "crypto", "repo/tree"},
	"repo/index":           {"chunk", "repo/pack"},
	"repo/lookup":          {"chunk", "repo/index", "repo/pack"},
	"repo/record":          {"chunk", "repo/index"},
	"repo/lists":           {"chunk", "repo/pack", "repo/index", "repo/record"},
	"repo/spool":           {},
	"repo/blocks":          {},
	"repo/register":        {},
	"repo/ledger":          {"repo/store"},
	"repo/sealed":          {"chunk", "crypto", "repo/blocks", "repo/index", "repo/keyring", "repo/ledger", "repo/lookup", "repo/pack", "repo/record", "repo/register", "repo/store"},
	"repo/create":          {"crypto", "repo/keyring", "repo/sealed", "repo/store"},
	"repo/view":            {"chunk", "crypto", "repo/index", "repo/lists", "repo/lookup", "repo/pack", "repo/record", "repo/sealed", "repo/spool", "repo/store"},
	"repo/fetch":           {"chunk", "chunk/delta", "crypto", "repo/blocks", "repo/index", "repo/ledger", "repo/lists", "repo/lookup", "repo/pack", "repo/sealed", "repo/store", "repo/view"},
	"repo/fill":            {"crypto", "repo/index", "repo/pack", "repo/sealed"},
	"repo/past":            {"chunk", "chunk/delta", "repo/tree"},
	"repo/keyring":         {"crypto", "repo/store"},
	"repo/statedir":        {"crypto", "repo/keyring"},
	"repo/save":            append([]string{"repo", "repo/fill", "repo/past"}, underRepo...),
	"repo/repotest":        append([]string{"repo/store/storetest"}, aboveRepo...),
	"repo/mirror":          aboveRepo,
	"repo/store":           {},
	"backup":               {"backup/browse", "backup/content", "backup/filter", "backup/local", "backup/pages", "backup/scan", "chunk", "repo", "repo/save", "repo/tree"},
	"backup/filter":        {},
	"backup/local":         {"chunk", "repo/tree"},
	"backup/content":       {"backup/pending", "chunk", "repo/save", "repo/tree"},
	"backup/pending":       {"chunk"},
	"backup/scan":          {"backup/filter", "backup/local", "chunk", "repo/tree"},
	"backup/browse":        {"backup/filter", "backup/read", "chunk", "repo", "repo/tree", "repo/walk"},
	"backup/pages":         {},
	"backup/read":          {"chunk", "crypto", "repo/tree"},
	"backup/restore":       {"backup/browse", "backup/filter", "backup/local", "backup/read", "chunk", "repo", "repo/tree", "repo/walk"},
	"backup/drill":         {"backup/browse", "backup/filter", "backup/local", "backup/restore", "chunk", "crypto", "repo", "repo/tree"},
	"backup/backuptest":    {"backup", "backup/filter", "backup/restore", "backup/scan", "crypto", "repo", "repo/keyring", "repo/store"},
	"mysqldump":            {},
	"mysqldump/servertest": {},
	"mysqldump/server":     {"mysqldump"},
	"mysqldump/login":      {"mysqldump/optionfile", "mysqldump/server"},
	"mysqldump/optionfile": {},
	"mysqldump/ddl":        {"mysqldump/server"},
	"mysqldump/value":      {"mysqldump/ddl", "mysqldump/server"},
	"mysqldump/choose":     {},
	"mysqldump/filename":   {},
	"mysqldump/global":     {"mysqldump/choose", "mysqldump/ddl", "mysqldump/server"},
	"mysqldump/schema":     {"mysqldump/choose", "mysqldump/ddl", "mysqldump/filename", "mysqldump/global", "mysqldump/server", "mysqldump/value"},
	"mysqldump/script":     {"mysqldump/ddl", "mysqldump/server"},
	"mysqldump/definition": {"mysqldump/ddl", "mysqldump/schema", "mysqldump/server"},
	"mysqldump/grantee":    {"mysqldump/ddl", "mysqldump/definition", "mysqldump/global", "mysqldump/server"},
	"mysqldump/sum":        {},
	"mysqldump/lock":       {"mysqldump", "mysqldump/schema", "mysqldump/server"},
	"mysqldump/crashsafe":  {"mysqldump", "mysqldump/server"},
	"mysqldump/queue":      {},
	"mysqldump/ranges":     {"mysqldump/script", "mysqldump/server", "mysqldump/value"},
	"mysqldump/dump":       {"mysqldump", "mysqldump/account", "mysqldump/choose", "mysqldump/global", "mysqldump/lock", "mysqldump/queue", "mysqldump/ranges", "mysqldump/schema", "mysqldump/script", "mysqldump/server", "mysqldump/sum", "mysqldump/value"},
	"mysqldump/restore":    {"mysqldump", "mysqldump/choose", "mysqldump/ddl", "mysqldump/definition", "mysqldump/global", "mysqldump/grantee", "mysqldump/queue", "mysqldump/schema", "mysqldump/script", "mysqldump/server", "mysqldump/sum", "mysqldump/value"},
	"mysqldump/advice":     {},
	"mysqldump/filter":     {"mysqldump/replica", "mysqldump/server"},
	"mysqldump/program":    {},
	"mysqldump/replica":    {"mysqldump", "mysqldump/advice", "mysqldump/server"},
	"mysqldump/compare":    {"mysqldump", "mysqldump/lock", "mysqldump/replica", "mysqldump/schema", "mysqldump/server", "mysqldump/sum", "mysqldump/value"},
	"mysqldump/until":      {"mysqldump"},
	"mysqldump/replay":     {"mysqldump", "mysqldump/binlog", "mysqldump/ddl", "mysqldump/server", "mysqldump/until"},
	"mysqldump/promote":    {"mysqldump", "mysqldump/replica", "mysqldump/server"},
	"mysqldump/account":    {"mysqldump/server"},
	"mysqldump/binlog":     {"mysqldump"},
	"mysqldump/datadir":    {"mysqldump", "mysqldump/hotinfo", "mysqldump/program", "mysqldump/replica", "mysqldump/server"},
	"mysqldump/tablespace": {"mysqldump/datadir", "mysqldump/ddl", "mysqldump/filename", "mysqldump/schema", "mysqldump/server"},
	"mysqldump/check":      {"mysqldump", "mysqldump/account", "mysqldump/advice", "mysqldump/filter", "mysqldump/lock", "mysqldump/program", "mysqldump/replica", "mysqldump/schema", "mysqldump/server"},
	"mysqldump/clone":      {"mysqldump", "mysqldump/datadir", "mysqldump/lock", "mysqldump/server"},
	"mysqldump/logs":       {"mysqldump", "mysqldump/binlog", "mysqldump/server"},
	"mysqldump/revive":     {"mysqldump", "mysqldump/binlog", "mysqldump/clone", "mysqldump/datadir", "mysqldump/server"},
	"mysqldump/xbstream":   {},
	"mysqldump/hotinfo":    {"mysqldump"},
	"mysqldump/hot":        {"mysqldump", "mysqldump/hotinfo", "mysqldump/lock", "mysqldump/login", "mysqldump/program", "mysqldump/server", "mysqldump/xbstream"},
	"mysqldump/drill":      {"mysqldump/clone", "mysqldump/datadir", "mysqldump/program", "mysqldump/server"},
	"mysqldump/roundtrip":  {"mysqldump", "mysqldump/dump", "mysqldump/lock", "mysqldump/restore", "mysqldump/server", "mysqldump/servertest"}, // tests alone, which nobody may import
	"snapshot":             {},
	"snapshot/cloud":       {"snapshot"},
	"snapshot/sets":        {"snapshot", "snapshot/cloud"},
	"snapshot/host":        {"snapshot"},
	"snapshot/freeze":      {"snapshot", "snapshot/host"},
	"snapshot/take":        {"snapshot", "snapshot/cloud", "snapshot/freeze", "snapshot/host", "snapshot/sets"},
	"snapshot/plan":        {"snapshot"},
	"snapshot/prune":       {"snapshot", "snapshot/cloud", "snapshot/plan", "snapshot/sets"},
	"snapshot/mirror":      {"snapshot", "snapshot/cloud", "snapshot/plan", "snapshot/sets"},
	"snapshot/bring":       {"snapshot", "snapshot/cloud", "snapshot/host", "snapshot/sets"},
	"snapshot/blocks":      {},
	"snapshot/bill":        {"snapshot", "snapshot/blocks", "snapshot/sets"},
	"snapshot/image":       {},
	"snapshot/ec2test":     {},
	"job":                  {"job/jobfile", "job/record"},
	"job/jobfile":          {},
	"job/record":           {},
	"job/history":          {"job/record"},
	"job/report":           {"job/history", "job/record"},
	"internal/bench/index": {"crypto", "chunk", "repo", "repo/save", "repo/keyring", "repo/index", "repo/pack", "repo/store", "repo/store/directory"},
	"mount":                {"backup/browse", "backup/read", "chunk", "repo", "repo/tree"},
	"internal/bench/hosts": {"backup", "crypto", "repo", "repo/index", "repo/keyring", "repo/pack", "repo/statedir", "repo/store", "repo/store/directory"},
	"internal/recover":     {"backup", "repo", "repo/maintain/vouch", "repo/store/s3", "repo/store/s3/request"},                        // tests alone, which nobody may import
	"internal/torture":     {"backup", "backup/restore", "repo", "repo/maintain/check", "repo/maintain/prune", "repo/maintain/retain"}, // likewise
	"internal/simulate":    {"repo/maintain/prune", "repo/maintain/retain"},                                                            // likewise

	"repo/maintain/check":        append([]string{"repo/maintain/retain", "repo/maintain/keycheck", "repo/maintain/prune"}, aboveRepo...), // the last two for its tests
	"repo/maintain/keycheck":     aboveRepo,
	"repo/maintain/locks":        aboveRepo,
	"repo/maintain/prune":        append([]string{"repo/maintain/locks", "repo/maintain/retain"}, aboveRepo...),
	"repo/maintain/losses":       aboveRepo,
	"repo/maintain/repair":       append([]string{"repo/maintain/check", "repo/maintain/losses", "repo/maintain/prune"}, aboveRepo...),
	"repo/maintain/retain":       aboveRepo,
	"repo/maintain/thaw":         {"repo/store"},
	"repo/maintain/vouch":        append([]string{"repo/maintain/check", "repo/maintain/prune", "repo/maintain/retain"}, aboveRepo...), // the last two for its tests
	"repo/maintain/maintaintest": append([]string{"repo/maintain/check"}, aboveRepo...),

	"packaging":               {}, // tests alone
	"internal/bench/mysql":    {},
	"internal/bench/contents": {"backup", "backup/content", "chunk", "crypto", "repo", "repo/keyring", "repo/store", "repo/store/directory"},

	"crypto/internal/framing":  {},
	"crypto/internal/certtest": {},

	"mysqldump/replica/replicatest": {"mysqldump", "mysqldump/replica", "mysqldump/server", "mysqldump/servertest"},

	"internal/bench/stages": {"chunk", "chunk/delta", "crypto", "repo/pack", "repo/store", "repo/store/directory"}, // measures them one by one
}

func within(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, parent+"/")
}

// arrowsOf is the line of the table for a package. Kinds of stores, their own rooms, and what tests them, know the interface alone, and have none; rooms of a
// test helper have its line.
func arrowsOf(dir string) ([]string, bool) {
	if within(dir, "snapshot/ec2test") {
		return arrows["snapshot/ec2test"], true
	}
	if within(dir, "repo/store") && dir != "repo/store" {
		return []string{"repo/store"}, true
	}
	to, ok := arrows[dir]
	return to, ok
}

// isTool tells the programs for developers, which stand beside the product.
func isTool(dir string) bool { return within(dir, "internal/bench") || within(dir, "internal/arch") }

// isTestHelper tells what only tests import, which may do what libraries may not.
func isTestHelper(dir string) bool {
	return within(dir, "internal/s3test") || dir == "internal/sshtest" || dir == "internal/proctest" || dir == "mysqldump/servertest" || dir == "mysqldump/replica/replicatest" || within(dir, "snapshot/ec2test") || dir == "backup/backuptest" || dir == "crypto/internal/certtest"
}

// makesForTests tells what tests of its neighbours make and fill repositories and stores with, or take dumps with.
func makesForTests(dir string) bool {
	return dir == "mysqldump/dump" || dir == "repo/save" || dir == "repo/store/storetest" || dir == "repo/repotest" || dir == "repo/maintain/maintaintest"
}

// beginsWith tells what of the product tests begin with: a directory as the user has it, a repository as it is made.
func beginsWith(dir string) bool { return dir == "repo/store/directory" || dir == "repo/create" }

// ofOneKind tells a kind of stores and its own rooms, which know each other.
func ofOneKind(a, b string) bool {
	a, isStore := strings.CutPrefix(a, "repo/store/")
	b, both := strings.CutPrefix(b, "repo/store/")
	kindA, _, _ := strings.Cut(a, "/")
	kindB, _, _ := strings.Cut(b, "/")
	return isStore && both && kindA == kindB
}

func mayImport(from, to string, test bool) bool {
	switch {
	case from == to: // its external tests
		return true
	case isTool(to):
		return isTool(from)
	case isTestHelper(to):
		return test || isTestHelper(from) || from == "internal/bench/ec2server" && to == "snapshot/ec2test"
	case within(from, "cmd/nightjar/internal") && within(to, "cmd/nightjar/commands"):
		return false
	case within(to, "internal"), within(from, "cmd"), ofOneKind(from, to):
		return true
	case test:
		return makesForTests(to) || beginsWith(to) || reaches(from, to)
	}
	may, _ := arrowsOf(from)
	return slices.Contains(may, to)
}

// reaches follows the arrows all the way down: a test has to put together what its package is handed.
func reaches(from, to string) bool {
	may, _ := arrowsOf(from)
	return slices.ContainsFunc(may, func(next string) bool { return next == to || reaches(next, to) })
}

func againstArrows(_ fs.FS, sources []source) []string {
	var found []string
	unknown := map[string]bool{}
	for _, s := range sources {
		if _, ok := arrowsOf(s.dir); !ok && !within(s.dir, "cmd") && !within(s.dir, "internal") && !unknown[s.dir] {
			unknown[s.dir] = true
			found = append(found, fmt.Sprintf("%s is not in the table of arrows: say there what it may import", s.dir))
		}
		for _, to := range s.imports {
			if to, ours := strings.CutPrefix(to.path, module+"/"); ours && !mayImport(s.dir, to, s.test) {
				found = append(found, fmt.Sprintf("%s: %s may not import %s", s.path, s.dir, to))
			}
		}
	}
	return found
}

// runsPrograms is the one package that starts programs, for commands too.
const runsPrograms = "internal/child"

var (
	forbiddenNames = map[string][]string{
		"os":      {"Exit", "Getenv", "LookupEnv", "Environ", "ExpandEnv", "Stdin", "Stdout", "Stderr"},
		"syscall": {"Exit", "Getenv", "Environ"},
		"fmt":     {"Print", "Printf", "Println"},
	}
	tempNames = map[string][]string{
		"os":        {"TempDir", "CreateTemp", "MkdirTemp"},
		"io/ioutil": {"TempDir", "TempFile"},
	}
)

// decodesLengths is the one package that reads numbers of variable length, which others would forget to bound.
const decodesLengths = "internal/wire"

var varintNames = map[string][]string{"encoding/binary": {"Uvarint", "Varint", "ReadUvarint", "ReadVarint"}}

// libraryOffences finds what prints, exits or reads the environment and is no program's own package, and scratch
// files, programs and decoders, of programs too, that go around the one package for them.
func libraryOffences(_ fs.FS, sources []source) []string {
	var found []string
	for _, s := range sources {
		if s.test || isTool(s.dir) || isTestHelper(s.dir) {
			continue
		}
		say := func(n ast.Node, format string, args ...any) {
			found = append(found, s.at(n)+": "+fmt.Sprintf(format, args...))
		}
		library := !within(s.dir, "cmd")
		program := s.file.Name.Name == "main"
		for _, i := range s.imports {
			switch {
			case i.name == ".":
				say(i.node, "imports %s as \".\", which hides what is used of it", i.path)
			case library && within(i.path, "log"):
				say(i.node, "imports %s: libraries return errors", i.path)
			case i.path == "os/exec" && s.dir != runsPrograms:
				say(i.node, "imports os/exec: programs are started by %s", runsPrograms)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if library && n.Recv == nil && n.Name.Name == "init" {
					say(n, "has an init function")
				}
			case *ast.SelectorExpr:
				pkg := s.packageOf(n.X)
				if !program && slices.Contains(forbiddenNames[pkg], n.Sel.Name) {
					say(n, "uses %s.%s: that is for package main to do", pkg, n.Sel.Name)
				}
				if s.dir != "internal/tempdir" && slices.Contains(tempNames[pkg], n.Sel.Name) {
					say(n, "uses %s.%s: scratch files come from internal/tempdir", pkg, n.Sel.Name)
				}
				if s.dir != decodesLengths && slices.Contains(varintNames[pkg], n.Sel.Name) {
					say(n, "uses %s.%s: lengths are decoded by %s, within bounds", pkg, n.Sel.Name, decodesLengths)
				}
			}
			return true
		})
	}
	return found
}

// asksForScheme finds what asks of which kind a place is, outside of the table of kinds and of the kinds themselves: what a store can do, its interfaces tell.
func asksForScheme(_ fs.FS, sources []source) []string {
	var found []string
	for _, s := range sources {
		if s.test || isTool(s.dir) || isTestHelper(s.dir) || within(s.dir, "repo/store") || s.dir == "cmd/nightjar/internal/place" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			scheme := false
			switch n := n.(type) {
			case *ast.BinaryExpr:
				x, left := n.X.(*ast.SelectorExpr)
				y, right := n.Y.(*ast.SelectorExpr)
				scheme = left && x.Sel.Name == "Scheme" || right && y.Sel.Name == "Scheme"
			case *ast.SelectorExpr:
				scheme = n.Sel.Name == "SchemeFile"
			}
			if scheme {
				found = append(found, s.at(n)+": asks for a scheme, which is for cmd/nightjar/internal/place/kinds.go to do")
			}
			return true
		})
	}
	return found
}

// withoutComment finds packages that do not say what they are; a package of tests alone says it there.
func withoutComment(_ fs.FS, sources []source) []string {
	onlyTests := map[string]bool{}
	for _, s := range sources {
		if only, seen := onlyTests[s.dir]; !seen || only {
			onlyTests[s.dir] = s.test
		}
	}
	commented := map[string]bool{}
	for _, s := range sources {
		if s.test && !onlyTests[s.dir] {
			continue
		}
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command " + path.Base(s.dir) + " "
		}
		commented[s.dir] = commented[s.dir] || strings.HasPrefix(s.file.Doc.Text(), want)
	}
	var found []string
	for dir, ok := range commented {
		if !ok {
			found = append(found, dir+" has no package comment")
		}
	}
	slices.Sort(found)
	return found
}

// withoutSeeds finds fuzz targets that have neither an Add in their body nor a folder of seeds.
func withoutSeeds(tree fs.FS, sources []source) []string {
	var found []string
	for _, s := range sources {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !s.test || !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			param, ok := s.fuzzParam(f)
			if !ok {
				continue
			}
			seeds, err := fs.ReadDir(tree, path.Join(s.dir, "testdata/fuzz", f.Name.Name))
			if (err != nil || len(seeds) == 0) && !callsAdd(f.Body, param) {
				found = append(found, fmt.Sprintf("%s: %s has no seeds", s.at(f), f.Name.Name))
			}
		}
	}
	return found
}

func callsAdd(body *ast.BlockStmt, f string) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Add" {
				x, ok := sel.X.(*ast.Ident)
				found = found || ok && x.Name == f
			}
		}
		return true
	})
	return found
}
