package job

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
)

// A Job is one job of a file, of whatever kind.
type Job struct {
	Name string
	Kind string // the name of its tables in the file: files, mysql-dump, …
	*Common
	Keep *Keep // of the archives that it makes; nil: it makes none
	of   kind
}

// A kind is a pointer to one of the job's tables.
type kind interface {
	// command returns the command line, without flags that are named as fields are.
	command(name string) (words, arguments []string)
	common() *Common
}

func (c *Common) common() *Common { return c }

// Jobs returns all jobs, by name.
func (f *File) Jobs() []Job {
	var all []Job
	v := reflect.ValueOf(f).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() != reflect.Map {
			continue
		}
		for _, name := range v.Field(i).MapKeys() {
			of, ok := v.Field(i).MapIndex(name).Interface().(kind)
			if !ok {
				continue
			}
			j := Job{Name: name.String(), Kind: v.Type().Field(i).Tag.Get("toml"), Common: of.common(), of: of}
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

// Command returns the arguments of nightjar that do the job.
func (j Job) Command() []string {
	words, arguments := j.of.command(j.Name)
	return slices.Concat(words, Flags(j.of), arguments)
}

// Flags returns what the settings of a struct, such as a File or a Keep, are on a command line. Zero values are left out.
func Flags(settings any) []string {
	var out []string
	v := reflect.Indirect(reflect.ValueOf(settings))
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		name := cmp.Or(tag.Get("flag"), tag.Get("toml"))
		if name == "-" || field.IsZero() {
			continue
		}
		switch x := field.Interface().(type) {
		case string:
			out = append(out, "--"+name+"="+x)
		case []string:
			for _, s := range x {
				out = append(out, "--"+name+"="+s)
			}
		case bool:
			out = append(out, "--"+name)
		case int:
			out = append(out, "--"+name+"="+strconv.Itoa(x))
		default:
			if field.Kind() == reflect.Struct {
				out = append(out, Flags(x)...)
			}
		}
	}
	return out
}

func (f *Files) command(name string) (words, arguments []string) {
	return []string{"backup", "--job=" + name}, append([]string{"--"}, f.Paths...)
}

func (s *Stream) command(name string) (words, arguments []string) {
	return []string{"backup", "--job=" + name}, append([]string{"--"}, s.Command...)
}

func (d *MySQLDump) command(name string) (words, arguments []string) {
	return []string{"mysql", "dump", "--job=" + name}, append([]string{"--"}, d.Databases...)
}

func (h *MySQLHot) command(name string) (words, arguments []string) {
	return []string{"mysql", "hot", "--job=" + name}, nil
}

func (b *Binlog) command(name string) (words, arguments []string) {
	return []string{"mysql", "binlog", "--job=" + name}, nil
}

func (e *EBS) command(name string) (words, arguments []string) {
	return []string{"ebs", "schedule", "--run", "--job=" + name, "--at=" + e.Schedule.Cron.String()}, nil
}

func (c *Copy) command(string) (words, arguments []string) { return []string{"copy"}, nil }

func (f *Forget) command(string) (words, arguments []string) { return []string{"forget"}, nil }

func (p *Prune) command(string) (words, arguments []string) { return []string{"prune"}, nil }

func (c *Check) command(string) (words, arguments []string) { return []string{"check"}, nil }

func (d *Drill) command(string) (words, arguments []string) {
	if d.Archive != "" {
		arguments = []string{"--", d.Archive}
	}
	return []string{"drill"}, arguments
}

func (r *Report) command(string) (words, arguments []string) { return []string{"report"}, nil }
