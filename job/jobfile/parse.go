package jobfile

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// nameForm is how jobs are named: what a label, a unit of systemd and a file can be called as well.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Parse reads the content of a job file. The error is a *Faults with all that is wrong; the file that comes with it has what is right, unless nothing could be read.
func Parse(path string, content []byte) (*File, error) {
	r := reader{file: &File{Path: path}, faults: Faults{Path: path}}
	var all map[string]any
	content = bytes.TrimPrefix(content, []byte("\uFEFF")) // which some editors write
	if err := shallow(content); err != nil {
		r.fault(nil, "", err.Error())
	} else if err := toml.Unmarshal(content, &all); err != nil {
		f := Fault{What: strings.TrimPrefix(err.Error(), "toml: ")}
		var wrong *toml.DecodeError
		if errors.As(err, &wrong) {
			f.Line, f.Column = wrong.Position()
		}
		r.faults.All = append(r.faults.All, f)
	} else {
		r.file.at = positions(content)
		r.table(nil, all, reflect.ValueOf(r.file).Elem())
		r.jobs()
	}
	if len(r.faults.All) == 0 {
		return r.file, nil
	}
	r.faults.Sort()
	return r.file, &r.faults
}

// maxDepth is how many brackets may be open, and how many parts a key may have.
const maxDepth = 50

// shallow refuses content that is nested so deep that whoever reads it may run out of stack. Brackets in strings and comments count too.
func shallow(content []byte) error {
	if len(content) > MaxBytes {
		return fmt.Errorf("it has more than %d bytes", MaxBytes)
	}
	depth := 0
	for _, c := range content {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if depth > maxDepth {
			return fmt.Errorf("more than %d brackets are open at once", maxDepth)
		}
	}
	var p unstable.Parser
	p.Reset(content)
	for p.NextExpression() { // what it cannot read, the library tells of later
		if err := fewParts(p.Expression()); err != nil {
			return err
		}
	}
	return nil
}

// fewParts refuses keys of so many parts, as a.b.c has three, that tables would nest as deep as brackets may not.
func fewParts(n *unstable.Node) error {
	below := n
	switch n.Kind {
	case unstable.Table, unstable.ArrayTable, unstable.KeyValue:
		parts := 0
		for keys := n.Key(); keys.Next(); parts++ {
			if parts == maxDepth {
				return fmt.Errorf("a key has more than %d parts", maxDepth)
			}
		}
		if n.Kind != unstable.KeyValue {
			return nil
		}
		below = n.Value()
	}
	if below.Kind != unstable.InlineTable && below.Kind != unstable.Array {
		return nil
	}
	for inside := below.Children(); inside.Next(); {
		if err := fewParts(inside.Node()); err != nil {
			return err
		}
	}
	return nil
}

// positions returns where each key of a file stands first, by its path.
func positions(content []byte) map[string]Position {
	at := map[string]Position{}
	var p unstable.Parser
	p.Reset(content)
	place := placesIn(content)
	mark := func(path []string, keys unstable.Iterator) []string {
		path = slices.Clone(path)
		for keys.Next() {
			n := keys.Node()
			path = append(path, string(n.Data))
			if _, there := at[id(path)]; !there {
				at[id(path)] = place(int(n.Raw.Offset))
			}
		}
		return path
	}
	var pair func(path []string, n *unstable.Node)
	pair = func(path []string, n *unstable.Node) {
		path = mark(path, n.Key())
		if v := n.Value(); v.Kind == unstable.InlineTable {
			for inside := v.Children(); inside.Next(); {
				pair(path, inside.Node())
			}
		}
	}
	var table []string
	for p.NextExpression() {
		switch n := p.Expression(); n.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = mark(nil, n.Key())
		case unstable.KeyValue:
			pair(table, n)
		}
	}
	return at
}

// placesIn returns what tells the place of an offset. Offsets that ascend, as those of keys do, cost one pass over the content, where the parser's own Shape costs one each.
func placesIn(content []byte) func(offset int) Position {
	at, line, begins := 0, 1, 0
	return func(offset int) Position {
		if offset < begins {
			at, line, begins = 0, 1, 0
		}
		for at < offset {
			end := bytes.IndexByte(content[at:offset], '\n')
			if end < 0 {
				break
			}
			at += end + 1
			line, begins = line+1, at
		}
		at = max(at, offset)
		return Position{line, offset - begins + 1}
	}
}

func id(path []string) string { return strings.Join(path, "\x00") }

// At returns where a key, with its tables, stands in the file; zero: it is not there.
func (f *File) At(path ...string) Position { return f.at[id(path)] }

// A reader fills in a file.
type reader struct {
	file   *File
	faults Faults
}

// fault tells what is wrong at a key.
func (r *reader) fault(path []string, job, what string) {
	f := Fault{Key: joined(path), Job: job, What: what}
	for n := len(path); n > 0 && f.Line == 0; n-- {
		f.Position = r.file.at[id(path[:n])]
	}
	if len(path) > 1 && isKind(path[0]) {
		f.Job = path[1]
	}
	r.faults.All = append(r.faults.All, f)
}

// A field is what a key stands for.
type field struct {
	key, flag, after, is string
	index                []int
}

// fieldsOf returns those of a struct that a file can have, with those of what it embeds.
func fieldsOf(t reflect.Type) (all []field) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				all = append(all, inner)
			}
			continue
		}
		if key := f.Tag.Get("toml"); f.IsExported() && key != "-" {
			all = append(all, field{key, f.Tag.Get("flag"), f.Tag.Get("after"), f.Tag.Get("is"), []int{i}})
		}
	}
	return all
}

func (r *reader) table(path []string, content map[string]any, to reflect.Value) {
	fields := fieldsOf(to.Type())
	for _, key := range slices.Sorted(maps.Keys(content)) {
		here := append(path[:len(path):len(path)], key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		if i < 0 {
			names, shown := candidates(to.Type(), fields)
			r.fault(here, "", "unknown key"+meant(key, names, shown))
			continue
		}
		if wrong := r.value(here, content[key], to.FieldByIndex(fields[i].index), fields[i].is); wrong != "" {
			r.fault(here, "", wrong)
		}
	}
}

// candidates returns what may be meant by an unknown key: keys, flags, and keys of tables inside by their flags; and what is said of those.
func candidates(t reflect.Type, fields []field) (names []string, shown map[string]string) {
	shown = map[string]string{}
	for _, f := range fields {
		names = append(names, f.key)
		if f.flag != "" && f.flag != "-" {
			names = append(names, f.flag)
			shown[f.flag] = f.key
		}
		if inner := t.FieldByIndex(f.index).Type; inner.Kind() == reflect.Struct && !reflect.PointerTo(inner).Implements(textual) {
			for _, g := range fieldsOf(inner) {
				name := cmp.Or(g.flag, g.key)
				names = append(names, name)
				shown[name] = f.key + "." + g.key
			}
		}
	}
	return names, shown
}

var textual = reflect.TypeFor[encoding.TextUnmarshaler]()

// value fills in what a key stands for, and returns what is wrong with it.
func (r *reader) value(path []string, v any, to reflect.Value, is string) (wrong string) {
	if to.Kind() == reflect.Pointer {
		inner := reflect.New(to.Type().Elem())
		if wrong = r.value(path, v, inner.Elem(), is); wrong == "" {
			to.Set(inner)
		}
		return wrong
	}
	if to.CanAddr() && to.Addr().Type().Implements(textual) {
		s, ok := v.(string)
		if !ok {
			return "it is " + kindOf(v) + ", where a string is wanted"
		}
		if err := to.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
			return err.Error()
		}
		return ""
	}
	switch to.Kind() {
	case reflect.Struct:
		if t, ok := v.(map[string]any); ok {
			r.table(path, t, to)
			return ""
		}
		return "it is " + kindOf(v) + ", where a table is wanted"
	case reflect.Map:
		t, ok := v.(map[string]any)
		if !ok {
			return "it is " + kindOf(v) + fmt.Sprintf(", where tables of jobs are wanted: [%s.NAME]", path[0])
		}
		r.named(path, t, to)
		return ""
	case reflect.Slice:
		return list(v, to)
	}
	return scalar(v, to, is)
}

// named fills in jobs by their names.
func (r *reader) named(path []string, content map[string]any, to reflect.Value) {
	to.Set(reflect.MakeMap(to.Type()))
	for _, name := range slices.Sorted(maps.Keys(content)) {
		here := append(path[:len(path):len(path)], name)
		t, ok := content[name].(map[string]any)
		switch {
		case !ok:
			hint := ""
			if slices.ContainsFunc(fieldsOf(to.Type().Elem().Elem()), func(f field) bool { return f.key == name }) {
				hint = fmt.Sprintf(": a job has a name, [%s.NAME], and its keys stand below that", path[0])
			}
			r.fault(here, "", "it is "+kindOf(content[name])+", where the table of a job is wanted"+hint)
		case !nameForm.MatchString(name):
			r.fault(here, "", "a job's name has 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit")
		default:
			job := reflect.New(to.Type().Elem().Elem())
			r.table(here, t, job.Elem())
			to.SetMapIndex(reflect.ValueOf(name), job)
		}
	}
}

func list(v any, to reflect.Value) string {
	many, ok := v.([]any)
	if !ok {
		if s, is := v.(string); is {
			return `it is a string, where a list is wanted: ["` + short(s) + `"]`
		}
		return "it is " + kindOf(v) + ", where a list is wanted"
	}
	if to.Type() == reflect.TypeFor[[]any]() {
		if _, err := HooksOf(many); err != nil {
			return err.Error()
		}
		to.Set(reflect.ValueOf(many))
		return ""
	}
	out := make([]string, 0, len(many))
	for i, x := range many {
		s, ok := x.(string)
		switch {
		case !ok:
			return fmt.Sprintf("entry %d is %s, where a string is wanted", i+1, kindOf(x))
		case s == "":
			return fmt.Sprintf("entry %d is empty", i+1)
		case strings.ContainsRune(s, 0):
			return fmt.Sprintf("entry %d has a zero byte, which no argument of a program can have", i+1)
		}
		out = append(out, s)
	}
	to.Set(reflect.ValueOf(out))
	return ""
}

func scalar(v any, to reflect.Value, is string) string {
	switch x := v.(type) {
	case string:
		if to.Kind() != reflect.String {
			break
		}
		switch {
		case x == "":
			return "it is empty; leave it out"
		case strings.ContainsFunc(x, unicode.IsControl):
			return "it has a line break or another control character"
		}
		if wrong := wrongValue(x, is); wrong != "" {
			return wrong
		}
		to.SetString(x)
		return ""
	case bool:
		if to.Kind() == reflect.Bool {
			to.SetBool(x)
			return ""
		}
	case int64:
		if to.Kind() != reflect.Int {
			break
		}
		if x < 0 || x > math.MaxInt32 {
			return fmt.Sprintf("%d: it is from 0 to %d", x, math.MaxInt32)
		}
		to.SetInt(x)
		return ""
	}
	return "it is " + kindOf(v) + ", where " + map[reflect.Kind]string{reflect.String: "a string", reflect.Bool: "true or false", reflect.Int: "a number"}[to.Kind()] + " is wanted"
}

// kindOf says what TOML calls a value.
func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case int64:
		return "a number"
	case float64:
		return "a number with a point"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or a time"
}
