package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	mysqlcheck "nightjar/cmd/nightjar/commands/mysql/check"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/job"
	"nightjar/job/jobfile"
	"nightjar/mysqldump/check"
	"nightjar/snapshot/cloud"
)

// askFor is how long a server is waited for.
const askFor = 30 * time.Second

// asked are jobs that log in to one server in the same way, and for what.
type asked struct {
	login    *jobfile.Login
	jobs     []jobfile.Job
	purposes []string
}

// serversOf returns what jobs back up of database servers, each server once.
func serversOf(jobs []jobfile.Job) (all []*asked) {
	byLogin := map[string]*asked{}
	for _, j := range jobs {
		var login *jobfile.Login
		var purpose check.Purpose
		switch of := j.Of.(type) {
		case *jobfile.MySQLDump:
			login, purpose = &of.Login, check.Dump
		case *jobfile.MySQLHot:
			login, purpose = &of.Login, check.Hot
		case *jobfile.Binlog:
			login, purpose = &of.Login, check.Binlog
		default:
			continue
		}
		key := strings.Join(job.Flags(login), "\x00")
		if byLogin[key] == nil {
			byLogin[key] = &asked{login: login}
			all = append(all, byLogin[key])
		}
		x := byLogin[key]
		x.jobs = append(x.jobs, j)
		if !slices.Contains(x.purposes, string(purpose)) {
			x.purposes = append(x.purposes, string(purpose))
		}
	}
	return all
}

// askServers tells what nightjar mysql check finds on the servers of jobs, and whether EBS jobs have a region, and credentials that EC2 takes: what would break a job, and what is to be seen to.
func askServers(ctx context.Context, a *app.App, f *jobfile.File) (faults, doubts []jobfile.Fault, err error) {
	tell := func(to *[]jobfile.Fault, jobs []jobfile.Job, what string) {
		for _, other := range jobs[1:] {
			what += "; also of job " + other.Name
		}
		j := jobs[0]
		*to = append(*to, jobfile.Fault{Position: f.At(j.Kind, j.Name), Key: j.Kind + "." + j.Name, Job: j.Name, What: what})
	}
	for _, x := range serversOf(f.Jobs()) {
		found, err := askServer(ctx, a, x)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			tell(&faults, x.jobs, advised(err))
		}
		for _, group := range alike(found) {
			switch group[0].Severity {
			case check.Problem:
				tell(&faults, x.jobs, inOneLine(group))
			case check.Warning:
				tell(&doubts, x.jobs, inOneLine(group))
			}
		}
	}
	for _, j := range f.Jobs() {
		if e, ok := j.Of.(*jobfile.EBS); ok {
			if err := askEBS(ctx, e); err != nil {
				tell(&faults, []jobfile.Job{j}, advised(ec2flags.Advise(err)))
			}
		}
	}
	return faults, doubts, ctx.Err()
}

// askServer is nightjar mysql check for a server's jobs.
func askServer(ctx context.Context, a *app.App, x *asked) ([]check.Finding, error) {
	var flags dbflags.Flags
	c := new(cobra.Command)
	flags.Bind(c)
	if err := c.ParseFlags(job.Flags(x.login)); err != nil {
		return nil, err
	}
	o, err := mysqlcheck.Nightly(a, x.purposes)
	if err != nil {
		return nil, err
	}
	o.Timeout = askFor
	limited, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	srv, err := flags.Server(limited, &a.Settings)
	if err != nil {
		return nil, err
	}
	found, err := check.Run(limited, srv, o)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("check %s: it has not answered for %s", srv.Address(), human.Age(askFor))
	}
	return found, err
}

// askEBS finds the region and the credentials of a job, and asks EC2 whether it takes them.
func askEBS(ctx context.Context, e *jobfile.EBS) error {
	limited, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	c, err := cloud.Open(limited, cloud.Options{Region: e.Region, Profile: e.Profile, Endpoint: e.Endpoint})
	if err == nil {
		err = c.Try(limited)
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("EC2 has not answered for %s: %w", human.Age(askFor), err)
	}
	return err
}

// advised is an error with what is to be done about it.
func advised(err error) string {
	what := err.Error()
	if wrong := (usage.Error{}); errors.As(err, &wrong) {
		return what
	}
	if hint := outcome.Hint(err, ""); hint != "" {
		what += ". " + hint
	}
	return what
}

// alike puts findings of the same rule together, in the order in which they come first.
func alike(found []check.Finding) (groups [][]check.Finding) {
	at := map[string]int{}
	for _, one := range found {
		of := string(one.Severity) + ": " + one.Name
		i, known := at[of]
		if !known {
			i, at[of] = len(groups), len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], one)
	}
	return groups
}

// inOneLine says the first of findings that are alike, and how many more there are, with some names: a database may have thousands of tables of an engine.
func inOneLine(group []check.Finding) string {
	const most = 3
	first, more := group[0], group[1:]
	what := strings.TrimPrefix(first.Object+": ", ": ") + first.Says
	if first.Do != "" {
		what += ". " + first.Do
	}
	var names []string
	for _, one := range more {
		if one.Object != "" && len(names) < most {
			names = append(names, one.Object)
		}
	}
	switch {
	case len(more) == 0:
		return what
	case len(names) < len(more):
		names = append(names, "…")
	}
	return fmt.Sprintf("%s. And %d more like it (%s): nightjar mysql check --verbose names all", what, len(more), strings.Join(names, ", "))
}

// serversWrong is the error for servers of which jobs would fail.
func serversWrong(faults []jobfile.Fault) error {
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("what jobs ask of their servers would fail: faults: %d", len(faults))
}
