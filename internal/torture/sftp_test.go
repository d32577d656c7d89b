package torture

import (
	"math/rand/v2"
	"testing"

	"nightjar/internal/sshtest"
)

// A reached is how a server is reached.
type reached interface{ URL(path string) string }

// onServer makes a machine whose repository is on a server of this machine, where what tests do to it is done to its files.
func onServer(t *testing.T, r *rand.Rand, server *sshtest.Server, by reached, known string) *machine {
	t.Helper()
	m := newMachine(t, r, "")
	m.env = append(m.env, "NIGHTJAR_REPO="+by.URL(m.path("repo")), "NIGHTJAR_SFTP_KEY="+server.Key, "NIGHTJAR_SFTP_KNOWN_HOSTS="+known, "NIGHTJAR_SFTP_CONFIG=none")
	return m
}

// TestKillSFTP is TestKill with a repository on an SFTP server.
func TestKillSFTP(t *testing.T) {
	need(t, "strace")
	r, server := random(30), sshtest.Start(t)
	killSteps(t, onServer(t, r, server, server, server.KnownHosts), r, rounds(400, 4))
}

// TestCutSFTP cuts the connection at random points: nobody is told, and nothing is lost.
func TestCutSFTP(t *testing.T) {
	r, server := random(31), sshtest.Start(t)
	line := server.Through(t)
	m := onServer(t, r, server, line, line.KnownHosts)
	m.want(0, "", "init", "--quiet")
	m.backup()
	m.want(0, "recovery kit", append(copyAway(m), "--create")...)
	cuts, want := 0, rounds(1000, 5)
	for round := range want {
		s := steps[round%len(steps)]
		if s.prepare != nil {
			s.prepare(m)
		}
		before := line.Made.Load()
		line.CutAfter(1 + r.Int64N(20_000)) // which is not more than the least of them sends
		m.want(0, "", s.args(m)...)
		line.CutAfter(-1)
		if line.Made.Load() > before+1 {
			cuts++
		}
		m.learn()
		if s.after != nil {
			s.after(m)
		}
	}
	m.whole()
	m.restoreAll()
	if cuts == 0 {
		t.Fatal("nothing was cut")
	}
	survived(t, cuts, "connections cut")
}
