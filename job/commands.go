package job

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"nightjar/job/jobfile"
)

// Command returns the arguments of nightjar that do the job.
func Command(j jobfile.Job) []string {
	words, arguments := command(j)
	return slices.Concat(words, Flags(j.Of), arguments)
}

// command returns the command line, without flags that are named as fields are.
func command(j jobfile.Job) (words, arguments []string) {
	switch of := j.Of.(type) {
	case *jobfile.Files:
		return []string{"backup", "--job=" + j.Name}, append([]string{"--"}, of.Paths...)
	case *jobfile.Stream:
		return []string{"backup", "--job=" + j.Name}, append([]string{"--"}, of.Command...)
	case *jobfile.MySQLDump:
		words = []string{"mysql", "dump", "--job=" + j.Name}
		if len(of.Databases) > 0 {
			arguments = append([]string{"--"}, of.Databases...)
		}
		return words, arguments
	case *jobfile.MySQLHot:
		return []string{"mysql", "hot", "--job=" + j.Name}, nil
	case *jobfile.Binlog:
		return []string{"mysql", "binlog", "--job=" + j.Name}, nil
	case *jobfile.EBS:
		return ebsCommand(j.Name, of)
	case *jobfile.Drill:
		if of.Archive != "" {
			arguments = []string{"--", of.Archive}
		}
	}
	return []string{j.Kind}, arguments // copy, forget, prune, check, drill, report
}

func ebsCommand(name string, e *jobfile.EBS) (words, arguments []string) {
	words = []string{"ebs", "schedule", "--run", "--job=" + name, "--at=" + e.Schedule.Cron.String()}
	for _, flag := range Flags(&e.CopiesKeep) {
		words = append(words, "--copies-"+flag[len("--"):])
	}
	arguments = flagsBy(reflect.ValueOf(*e), func(f reflect.StructField) string { return cmp.Or(f.Tag.Get("after"), "-") })
	arguments = append(arguments, Flags(&e.Login)...)
	if len(arguments) > 0 {
		arguments = append([]string{"--"}, arguments...)
	}
	return words, arguments
}

// Flags returns what the settings of a struct, such as a File or a Keep, are on a command line. Zero values are left out.
func Flags(settings any) []string {
	return flagsBy(reflect.Indirect(reflect.ValueOf(settings)), func(f reflect.StructField) string { return cmp.Or(f.Tag.Get("flag"), f.Tag.Get("toml")) })
}

// flagsBy is Flags of a struct whose fields are named so; "-": they have no flag.
func flagsBy(v reflect.Value, named func(reflect.StructField) string) (out []string) {
	for i := range v.NumField() {
		field, name := v.Field(i), named(v.Type().Field(i))
		if name == "-" || field.IsZero() {
			continue
		}
		flag := "--" + name
		switch x := reflect.Indirect(field); x.Kind() {
		case reflect.String, reflect.Int:
			out = append(out, flag+"="+fmt.Sprint(x.Interface()))
		case reflect.Slice:
			for j := range x.Len() {
				out = append(out, flag+"="+fmt.Sprint(x.Index(j).Interface()))
			}
		case reflect.Bool:
			if field.Kind() == reflect.Pointer {
				flag += "=" + fmt.Sprint(x.Bool())
			}
			out = append(out, flag)
		case reflect.Struct:
			out = append(out, flagsBy(x, named)...)
		}
	}
	return out
}
