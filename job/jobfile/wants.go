package jobfile

func (f *Files) wants() []want { return needs("paths", len(f.Paths) > 0) }

func (s *Stream) wants() []want {
	return append(needs("name", s.Name != ""), needs("command", len(s.Command) > 0)...)
}

func (d *MySQLDump) wants() []want { return d.Login.wants() }

func (h *MySQLHot) wants() []want { return h.Login.wants() }

func (b *Binlog) wants() []want {
	all := b.Login.wants()
	if b.Follow && b.Schedule.Given {
		all = append(all, want{"schedule", "with follow it goes on until it is stopped, and has no schedule"})
	}
	return all
}

func (e *EBS) wants() []want {
	all := append(e.Login.wants(), needs("schedule", e.Schedule.Given)...)
	if e.ToRegion == "" && (e.CopiesKeep != Periods{} || e.KMSKey != "" || e.CompletionDuration != "" || e.Concurrent != 0) {
		all = append(all, want{"to-region", missing + ": copies-keep, kms-key, completion-duration and concurrent are about copies"})
	}
	return all
}

func (c *Copy) wants() []want { return needs("to", c.To != "") }

func (f *Forget) wants() []want {
	if !f.Keep.Empty() {
		return nil
	}
	return []want{{"keep", "no rule keeps any archive: write keep.daily = 7, …"}}
}

func (p *Prune) wants() []want { return nil }

func (c *Check) wants() []want { return nil }

func (d *Drill) wants() []want { return nil }

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
