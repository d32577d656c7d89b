package job

import (
	"slices"
	"testing"

	"nightjar/job/jobfile"
)

func TestCommand(t *testing.T) {
	f, err := jobfile.Parse("/x.toml", []byte(`
[repository]
url = "/srv/backup"
[files.etc]
schedule = "0 3 * * *"
random-delay = "30m"
paths = ["/etc", "-odd"]
exclude = ["*.log"]
one-file-system = true
keep.daily = 7
[mysql-dump.shop]
databases = ["shop"]
threads = 2
`))
	if err != nil {
		t.Fatal(err)
	}
	jobs := f.Jobs()
	if len(jobs) != 2 {
		t.Fatalf("there are %d jobs", len(jobs))
	}
	for i, want := range [][]string{
		{"backup", "--job=etc", "--exclude=*.log", "--one-file-system", "--", "/etc", "-odd"},
		{"mysql", "dump", "--job=shop", "--threads=2", "--", "shop"},
	} {
		if got := Command(jobs[i]); !slices.Equal(got, want) {
			t.Errorf("job %d: %q, want %q", i, got, want)
		}
	}
	if got := Flags(jobs[0].Keep); !slices.Equal(got, []string{"--keep-daily=7"}) {
		t.Errorf("retention: %q", got)
	}
	if got := Flags(&f.Repository); !slices.Equal(got, []string{"--repo=/srv/backup"}) {
		t.Errorf("repository: %q", got)
	}
}
