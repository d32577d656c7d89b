package torture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"nightjar/internal/s3test"
)

// TestHosts has eight hosts back up into one repository in a bucket, all at once, while it is pruned and copied over and over. Every archive
// comes back, from the bucket and from the copy.
func TestHosts(t *testing.T) {
	server := s3test.Versity(t, "eu-west-1")
	server.Setenv(t)
	hosts := enrolled(t, 8, "s3://hosts/all", "AWS_ENDPOINT_URL="+server.Endpoint, "AWS_REGION=eu-west-1")
	first := hosts[0]
	for _, m := range hosts {
		m.another()
	}
	first.want(0, "recovery kit", append(copyAway(first), "--create")...)
	nights := rounds(50, 2)
	for night := range nights {
		for _, m := range hosts {
			m.night()
		}
		if night%2 == 1 {
			for _, m := range hosts {
				first.want(0, "", append(forgetOld(m), "--host", m.host)...)
			}
		}
		// What waits for a grace period has waited long enough, since before the backups that begin now.
		old(t, filepath.Join(server.Data, "hosts/all"))
		var backups, others sync.WaitGroup
		done := make(chan struct{})
		var failed problems
		for _, m := range hosts {
			backups.Go(func() { failed.of(m.try(nil, backupSource(m)...)) })
		}
		over := func(args []string) {
			for end := false; !end; {
				select {
				case <-done:
					end = true
				default:
				}
				failed.of(first.try(nil, args...))
			}
		}
		others.Go(func() { over(copyAway(first)) })
		others.Go(func() { over(pruneRepository(first)) })
		backups.Wait()
		close(done)
		others.Wait()
		must(t, errors.Join(failed.all...))
		for _, m := range hosts {
			if n := m.learn(); n != 1 {
				t.Fatalf("night %d: %s made %d archives", night, m.host, n)
			}
			m.newestIsNow()
		}
	}
	first.want(0, "", copyAway(first)...)
	first.whole()
	first.want(0, "", "check", "--read-data", "--repo", first.path("away"), "--cache-dir", first.path("cold"))
	all := 0
	for _, m := range hosts {
		m.restoreAll()
		m.restore(m.newest(), "--repo", first.path("away"))
		all += len(m.archives())
	}
	survived(t, nights*len(hosts), fmt.Sprintf("backups of %d hosts at once, while the repository was pruned and copied; %d archives came back", len(hosts), all))
}

// enrolled makes a repository and its hosts. The first can do everything.
func enrolled(t *testing.T, n int, repository string, env ...string) (hosts []*machine) {
	t.Helper()
	for i := range n {
		m := newMachine(t, random(800+uint64(i)), repository, env...)
		m.host = fmt.Sprintf("web%d", i)
		hosts = append(hosts, m)
		if i == 0 {
			m.want(0, "public access|^$", "init", "--create-bucket", "--quiet", "--host", m.host, "--kit-file", m.path("kit.txt"))
			continue
		}
		kit, err := os.ReadFile(hosts[0].path("kit.txt"))
		must(t, err)
		root := regexp.MustCompile(`(?m)^root fingerprint: *([0-9A-F]{40})$`).FindSubmatch(kit)
		if root == nil {
			t.Fatal("the kit names no root key")
		}
		m.opener = []string{"--key", hosts[0].path("kit.txt")}
		m.want(0, "add-host", "key", "enroll", "--root", string(root[1]), "--certificate", m.path("certificate"))
		hosts[0].want(0, "", "key", "add-host", m.host, "--certificate", m.path("certificate"), "--key", hosts[0].path("kit.txt"), "--quiet")
	}
	return hosts
}

// old makes all that waits for a grace period to pass old enough, in a folder with a repository.
func old(t testing.TB, repository string) {
	t.Helper()
	long := time.Now().Add(-8 * 24 * time.Hour)
	for _, kind := range []string{"forget", "condemned"} {
		must(t, filepath.WalkDir(filepath.Join(repository, kind), func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
				return nil
			}
			return errors.Join(err, os.Chtimes(path, long, long))
		}))
	}
}

// problems are those of commands that run at the same time.
type problems struct {
	mu  sync.Mutex
	all []error
}

// of notes what was wrong with a command.
func (p *problems) of(r result, err error) {
	if err == nil && (r.code != 0 || r.stderr != "") {
		err = fmt.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.all = append(p.all, err)
	}
}
