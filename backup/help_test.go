package backup_test

import (
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/repo"
	"nightjar/repo/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type site struct{ *backuptest.Site }

func newSite(t testing.TB) *site { return &site{backuptest.New(t)} }

func newSiteOn(t testing.TB, s store.Store, change ...func(*repo.Options)) *site {
	return &site{backuptest.NewOn(t, s, change...)}
}
