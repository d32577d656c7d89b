package arch_test

import (
	"fmt"
	"go/ast"
	"io/fs"
	"strings"
)

const (
	longestFunction = 70  // lines
	longestFile     = 400 // lines
)

// tooLong finds functions and files that nobody reads at one go. Tests and tables of tests may be longer.
func tooLong(_ fs.FS, sources []source) []string {
	var found []string
	for _, s := range sources {
		if s.test || isTestHelper(s.dir) || makesForTests(s.dir) {
			continue
		}
		if n := s.fset.File(s.file.FileStart).LineCount(); n > longestFile {
			found = append(found, fmt.Sprintf("%s: has %d lines, more than %d: a room of its own for a part of it?", s.path, n, longestFile))
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > longestFunction {
				found = append(found, fmt.Sprintf("%s: %s has %d lines, more than %d", s.at(f), f.Name.Name, n, longestFunction))
			}
		}
	}
	return found
}

// lines returns a file of n lines, and a function of n lines.
func fileOf(n int) string { return "package repo\n" + strings.Repeat("// x\n", n-1) }
func funcOf(n int) string {
	return "package repo\nfunc f() {\n" + strings.Repeat("_ = 1\n", n-2) + "}\n"
}
