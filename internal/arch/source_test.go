package arch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// source is one parsed Go file. dir and path are relative to the module's root, with slashes.
type source struct {
	dir, path string
	test      bool
	imports   []imported
	file      *ast.File
	fset      *token.FileSet
}

type imported struct {
	name string // what the file calls it
	path string
	node ast.Node
}

// load parses every Go file of the tree, except for the folders that the go command passes over.
func load(tree fs.FS) ([]source, error) {
	var sources []source
	fset := token.NewFileSet()
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		hidden := name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_"))
		if d.IsDir() {
			if hidden || base == "testdata" || base == "vendor" {
				return fs.SkipDir
			}
			return nil
		}
		if hidden || !strings.HasSuffix(base, ".go") {
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		s := source{dir: path.Dir(name), path: name, test: strings.HasSuffix(base, "_test.go"), file: file, fset: fset}
		for _, spec := range file.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("parse import in %s: %w", name, err)
			}
			local := path.Base(to)
			if spec.Name != nil {
				local = spec.Name.Name
			}
			s.imports = append(s.imports, imported{local, to, spec})
		}
		sources = append(sources, s)
		return nil
	})
	return sources, err
}

// at says where a node is: file:line.
func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
}

// packageOf gives the import path that the expression names, empty if it names no package.
func (s source) packageOf(e ast.Expr) string {
	if id, ok := e.(*ast.Ident); ok {
		for _, i := range s.imports {
			if i.name == id.Name {
				return i.path
			}
		}
	}
	return ""
}

// fuzzParam gives the name of the function's *testing.F, if that is its one parameter.
func (s source) fuzzParam(f *ast.FuncDecl) (string, bool) {
	if f.Recv != nil || len(f.Type.Params.List) != 1 || len(f.Type.Params.List[0].Names) != 1 {
		return "", false
	}
	star, ok := f.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return "", false
	}
	sel, ok := star.X.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "F" || s.packageOf(sel.X) != "testing" {
		return "", false
	}
	return f.Type.Params.List[0].Names[0].Name, true
}
