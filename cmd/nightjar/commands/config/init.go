package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/starter"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/durable"
	"nightjar/internal/quote"
	"nightjar/job/jobfile"
	"nightjar/mysqldump/program"
	"nightjar/mysqldump/server"
	"nightjar/snapshot/host"
)

// patience is how long what may be there is waited for: a server, and instance metadata.
const patience = 2 * time.Second

func initCommand(a *app.App) *cobra.Command {
	output := ""
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a first job file, with jobs for what is found on this machine",
		Long: `Write a first job file, with jobs for what is found on this machine: Debian's usual folders, a MySQL or MariaDB server, and the EBS volumes of an instance of EC2. Every
other kind of job stands in it, too, switched off, with what it is good for. Nothing is asked, nothing else is changed, and a file that is there stays, unless
it has nothing but comments, as the Debian package's.

Flags of the repository (--repo, --region, --storage-class, …) go into the file.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runInit(a, c, output) },
	}
	c.Flags().StringVarP(&output, "output", "o", "", "the `FILE` to write, or - for standard output (default: where the job file is looked for)")
	return c
}

func runInit(a *app.App, c *cobra.Command, output string) error {
	if a.Config != "none" {
		output = cmp.Or(output, a.Config)
	}
	output = cmp.Or(output, a.UsualFiles[0])
	found := findForFile(c.Context(), a)
	if err := fromFlags(a, c.Root().PersistentFlags(), found); err != nil {
		return err
	}
	content, err := starter.File(found)
	if err != nil {
		return err
	}
	if output == "-" {
		_, err := a.Out.Write(content)
		return err
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return fmt.Errorf("make folder of the job file: %w", err)
	}
	write := durable.CreateFile
	if saysNothing(output) {
		write = durable.WriteFile
	}
	err = write(output, content, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usage.Hinted{Err: fmt.Errorf("write job file: %w", err), Hint: "it was left as it is. --output FILE writes another, - prints it"}
	}
	if err != nil {
		return fmt.Errorf("write job file: %w", err)
	}
	next := "nightjar init makes the repository"
	if len(found.Repository) == 0 || found.Repository[0][0] != "url" {
		next = "name the repository in it (url, below [repository]); then " + next
	}
	a.Note("wrote %s. Read it; %s, and nightjar config check finds what is wrong with the file", quote.Display(output), next)
	return nil
}

// fromFlags has the file say what the command line and the environment say of the repository.
func fromFlags(a *app.App, flags *pflag.FlagSet, found *starter.Found) (err error) {
	f := new(jobfile.File)
	tables := map[string]*[][2]string{"repository": &found.Repository, "keys": &found.Keys, "folders": &found.Folders, "limits": &found.Limits}
	flags.VisitAll(func(flag *pflag.Flag) {
		key := f.KeyOf(flag.Name)
		if key == nil || tables[key[0]] == nil || !flag.Changed && !(flag.Name == "repo" && a.Repo != "") || err != nil {
			return
		}
		var value any = flag.Value.String()
		switch many, ok := flag.Value.(pflag.SliceValue); {
		case ok:
			value = many.GetSlice()
		case flag.Name == "path-style":
			value = *a.Bucket.PathStyle
		case flag.Name == "connections":
			value = a.Connections
		case flag.Value.Type() == "bool":
			value = value == "true"
		}
		var text string
		if text, err = starter.Value(value); err == nil {
			line := [2]string{key[1], text}
			if to := tables[key[0]]; flag.Name == "repo" {
				*to = append([][2]string{line}, *to...)
			} else {
				*to = append(*to, line)
			}
		}
	})
	return err
}

// usualFolders are those of Debian that a new machine cannot get from its packages.
var usualFolders = []string{"/etc", "/home", "/root", "/opt", "/srv", "/usr/local", "/var/backups", "/var/mail", "/var/spool/cron", "/var/www"}

func findForFile(ctx context.Context, a *app.App) *starter.Found {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found := &starter.Found{Host: plainName(a.HostName)}
	for _, path := range usualFolders {
		if entries, err := os.ReadDir(path); err == nil && len(entries) > 0 {
			found.Paths = append(found.Paths, path)
		}
	}
	if len(found.Paths) == 0 {
		found.Paths = []string{"/etc"}
	}
	instance := make(chan host.Instance, 1)
	go func() {
		i, _ := host.Self(ctx) // mostly there is no such thing
		instance <- i
	}()
	found.Server = findServer(ctx, a)
	if i := <-instance; i.ID != "" {
		found.Instance, found.Region, found.Volumes = i.ID, i.Region, max(1, host.Machine{}.Volumes())
	}
	return found
}

// plainName returns a host's name as it can stand in a URL.
func plainName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return -1
	}, name)
	return cmp.Or(name[:min(len(name), 64)], "host")
}

// findServer returns the database server that the clients' option files mean, or that listens where servers do as they are packaged; nil: there is none.
func findServer(ctx context.Context, a *app.App) *starter.Server {
	quiet := a.Settings
	quiet.Warn = func(error) {}
	l, err := new(dbflags.Flags).Login(ctx, &quiet)
	if err != nil {
		return nil
	}
	config, err := l.Config()
	if err != nil {
		return nil
	}
	found := &starter.Server{Address: l.Address(), Hot: program.Find(a.Getenv("PATH"), "mariadb-backup", "mariabackup") != ""}
	srv, err := server.New(config)
	if err != nil {
		return nil
	}
	c, err := srv.Connect(ctx)
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "dial" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		found.Refused = err.Error()
		return found
	}
	defer c.Close()
	if id, err := c.Identity(ctx); err == nil {
		found.Version = id.Version
	}
	_, err = c.Position(ctx)
	found.LogOff = errors.Is(err, server.ErrNoBinaryLog)
	return found
}

// saysNothing reports whether a job file is there, and has nothing but comments.
func saysNothing(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > jobfile.MaxBytes {
		return false
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}
