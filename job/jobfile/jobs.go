package jobfile

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// A Job is one job of a file, of whatever kind.
type Job struct {
	Name string
	Kind string // the name of its tables in the file: files, mysql-dump, …
	*Common
	Keep *Keep // of the archives that it makes; nil: it makes none
	Of   any   // a pointer to its table: *Files, *MySQLDump, …
}

// A kind is a pointer to one of the job's tables.
type kind interface {
	common() *Common
	// wants returns the keys that have to be there, or stand in each other's way, and what is wrong with them.
	wants() []want
}

// A want is what is wrong with a key though its value is good by itself.
type want struct{ key, what string }

const missing = "it is missing"

func (c *Common) common() *Common { return c }

// Jobs returns all jobs, by name.
func (f *File) Jobs() []Job {
	var all []Job
	v := reflect.ValueOf(f).Elem()
	for _, field := range fieldsOf(v.Type()) {
		tables := v.FieldByIndex(field.index)
		if tables.Kind() != reflect.Map {
			continue
		}
		for _, name := range tables.MapKeys() {
			of := tables.MapIndex(name).Interface().(kind)
			j := Job{Name: name.String(), Kind: field.key, Common: of.common(), Of: of}
			if a, ok := of.(interface{ keep() *Keep }); ok {
				j.Keep = a.keep()
			}
			all = append(all, j)
		}
	}
	slices.SortFunc(all, func(x, y Job) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Kind, y.Kind)) })
	return all
}

func (a *Archiving) keep() *Keep { return &a.Keep }

// isKind reports whether a table of the file has jobs.
func isKind(key string) bool {
	t := reflect.TypeFor[File]()
	return slices.ContainsFunc(fieldsOf(t), func(f field) bool { return f.key == key && t.FieldByIndex(f.index).Type.Kind() == reflect.Map })
}

// jobs looks for what is wrong with jobs as a whole.
func (r *reader) jobs() {
	first := map[string]string{}
	for _, j := range r.file.Jobs() {
		here := []string{j.Kind, j.Name}
		if other := first[j.Name]; other != "" {
			r.fault(here, j.Name, "there is a job of that name already, "+joined([]string{other, j.Name}))
		}
		first[j.Name] = cmp.Or(first[j.Name], j.Kind)
		for _, w := range j.Of.(kind).wants() {
			if key := append(here, w.key); w.what != missing || r.file.At(key...) == (Position{}) { // else it was wrong, which was told
				r.fault(key, j.Name, w.what)
			}
		}
	}
}

// KeyOf returns the key, with its tables, that a flag of the job's command line is made of, as keep.daily below the job's; nil: there is none.
func (j Job) KeyOf(flag string) []string {
	return keyOf(reflect.TypeOf(j.Of).Elem(), flag, []string{j.Kind, j.Name})
}

// KeyOf is Job.KeyOf for flags of every command.
func (f *File) KeyOf(flag string) []string {
	t := reflect.TypeFor[File]()
	for _, table := range fieldsOf(t) {
		if inner := t.FieldByIndex(table.index).Type; inner.Kind() == reflect.Struct {
			if key := keyOf(inner, flag, []string{table.key}); key != nil {
				return key
			}
		}
	}
	return nil
}

func keyOf(t reflect.Type, flag string, path []string) []string {
	for _, f := range fieldsOf(t) {
		here := append(path[:len(path):len(path)], f.key)
		if cmp.Or(f.after, f.flag, f.key) == flag {
			return here
		}
		inner := t.FieldByIndex(f.index).Type
		if inner.Kind() != reflect.Struct || reflect.PointerTo(inner).Implements(textual) {
			continue
		}
		prefix := ""
		if f.key == "copies-keep" {
			prefix = "copies-"
		}
		if bare, ok := strings.CutPrefix(flag, prefix); ok {
			if key := keyOf(inner, bare, here); key != nil {
				return key
			}
		}
	}
	return nil
}

// Scheduled reports whether the job is ever due.
func (j Job) Scheduled() bool { return j.Schedule.Given && !j.Follows() }

// Follows reports whether the job is a service, which is started once and runs on.
func (j Job) Follows() bool {
	b, ok := j.Of.(*Binlog)
	return ok && b.Follow
}

// Rank orders jobs by their kinds, as the file's tables stand: what makes archives comes before what copies, thins out, proves and reports.
func (j Job) Rank() int {
	t := reflect.TypeFor[File]()
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("toml") == j.Kind {
			return i
		}
	}
	return t.NumField()
}
