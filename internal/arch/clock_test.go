package arch_test

import (
	"fmt"
	"go/ast"
	"io/fs"
	"slices"
)

// clockReaders are the files of libraries that look at the clock, or sleep, themselves. Elsewhere the clock enters as a field, which a test can set: o.Now(), where nil
// means time.Now. Timers are no offence: a synctest bubble has them in hand.
var clockReaders = map[string]string{
	"backup/read/budget.go":         "how long somebody has waited for memory: it decides who gets some first, not what is read",
	"backup/worker.go":              "a deadline of the kernel",
	"crypto/gnupg/gnupg.go":         "a deadline of the kernel",
	"repo/store/s3/request/conn.go": "a deadline of the kernel",
	"mysqldump/server/dump.go":      "a deadline of the kernel",
	"internal/child/family.go":      "other processes, which know no clock but the kernel's",
}

// clockOffences finds libraries that read the clock past its field, or sleep, which nobody can interrupt.
func clockOffences(_ fs.FS, sources []source) []string {
	var found []string
	for _, s := range sources {
		if s.test || within(s.dir, "cmd") || isTool(s.dir) || isTestHelper(s.dir) || makesForTests(s.dir) || clockReaders[s.path] != "" {
			continue
		}
		say := func(e ast.Expr) {
			found = append(found, fmt.Sprintf("%s: uses time.%s: the clock is a field, and waiting can be interrupted", s.at(e), e.(*ast.SelectorExpr).Sel.Name))
		}
		is := func(e ast.Expr, names ...string) bool {
			x, ok := e.(*ast.SelectorExpr)
			return ok && s.packageOf(x.X) == "time" && slices.Contains(names, x.Sel.Name)
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if is(n.Fun, "Now") { // as a value it is what a field is when nobody sets it
					say(n.Fun)
				}
			case *ast.SelectorExpr:
				if is(n, "Since", "Until", "Sleep") {
					say(n)
				}
			}
			return true
		})
	}
	return found
}
