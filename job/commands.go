package job

import (
	"cmp"
	"reflect"
)

func (f *Files) command(name string) (words, arguments []string) {
	return []string{"backup", "--job=" + name}, append([]string{"--"}, f.Paths...)
}

func (f *Files) wants() []want { return needs("paths", len(f.Paths) > 0) }

func (s *Stream) command(name string) (words, arguments []string) {
	return []string{"backup", "--job=" + name}, append([]string{"--"}, s.Command...)
}

func (s *Stream) wants() []want {
	return append(needs("name", s.Name != ""), needs("command", len(s.Command) > 0)...)
}

func (d *MySQLDump) command(name string) (words, arguments []string) {
	words = []string{"mysql", "dump", "--job=" + name}
	if len(d.Databases) == 0 {
		return words, nil
	}
	return words, append([]string{"--"}, d.Databases...)
}

func (d *MySQLDump) wants() []want { return d.Login.wants() }

func (h *MySQLHot) command(name string) (words, arguments []string) {
	return []string{"mysql", "hot", "--job=" + name}, nil
}

func (h *MySQLHot) wants() []want { return h.Login.wants() }

func (b *Binlog) command(name string) (words, arguments []string) {
	return []string{"mysql", "binlog", "--job=" + name}, nil
}

func (b *Binlog) wants() []want {
	all := b.Login.wants()
	if b.Follow && b.Schedule.Given {
		all = append(all, want{"schedule", "with follow it goes on until it is stopped, and has no schedule"})
	}
	return all
}

func (e *EBS) command(name string) (words, arguments []string) {
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

func (e *EBS) wants() []want {
	all := append(e.Login.wants(), needs("schedule", e.Schedule.Given)...)
	if e.ToRegion == "" && (e.CopiesKeep != Periods{} || e.KMSKey != "" || e.CompletionDuration != "" || e.Concurrent != 0) {
		all = append(all, want{"to-region", missing + ": copies-keep, kms-key, completion-duration and concurrent are about copies"})
	}
	return all
}

func (c *Copy) command(string) (words, arguments []string) { return []string{"copy"}, nil }

func (c *Copy) wants() []want { return needs("to", c.To != "") }

func (f *Forget) command(string) (words, arguments []string) { return []string{"forget"}, nil }

func (f *Forget) wants() []want {
	if len(Flags(&f.Keep)) > 0 {
		return nil
	}
	return []want{{"keep", "no rule keeps any archive: write keep.daily = 7, …"}}
}

func (p *Prune) command(string) (words, arguments []string) { return []string{"prune"}, nil }

func (p *Prune) wants() []want { return nil }

func (c *Check) command(string) (words, arguments []string) { return []string{"check"}, nil }

func (c *Check) wants() []want { return nil }

func (d *Drill) command(string) (words, arguments []string) {
	if d.Archive != "" {
		arguments = []string{"--", d.Archive}
	}
	return []string{"drill"}, arguments
}

func (d *Drill) wants() []want { return nil }

func (r *Report) command(string) (words, arguments []string) { return []string{"report"}, nil }

func (r *Report) wants() []want { return nil }

func (l *Login) wants() []want {
	if l.PasswordFile != "" && l.PasswordCommand != "" {
		return []want{{"password-command", "password-file says already where the password is"}}
	}
	return nil
}

// needs is what is wrong with a key that has to be there.
func needs(key string, is bool) []want {
	if is {
		return nil
	}
	return []want{{key, missing}}
}
