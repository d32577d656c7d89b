package reported_test

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nightjar/backup"
	"nightjar/backup/backuptest"
	"nightjar/cmd/nightjar/internal/recorded"
	"nightjar/cmd/nightjar/internal/reported"
	"nightjar/job/record"
	"nightjar/job/report"
	"nightjar/repo"
	"nightjar/repo/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A place is a repository with a clock that is moved by hand.
type place struct {
	*backuptest.Site
	now time.Time
}

func newPlace(t *testing.T) *place {
	p := &place{now: time.Now().Add(time.Minute)}
	clock := func() time.Time { return p.now }
	p.Site = backuptest.NewOn(t, store.NewMemory(clock), func(o *repo.Options) { o.Now = clock })
	return p
}

// night runs the job "job" once, and records how it ended: a run that failed has made nothing.
func (p *place) night(outcome record.Outcome, problem string) {
	p.T.Helper()
	r := record.Record{Job: "job", Kind: "files", Outcome: outcome, Error: problem, Start: p.now, Schedule: "0 3 * * *", Zone: "UTC"}
	switch outcome {
	case record.Failed:
		r.Exit = 1
	case record.Problems:
		r.Exit = 3
	}
	if outcome != record.Failed {
		p.Save(func(o *backup.Options) { o.Now = func() time.Time { return p.now } })
		r.Archive = p.Last.ID
	}
	p.now = p.now.Add(4 * time.Minute)
	r.End, r.Overdue = p.now, p.now.Add(26*time.Hour)
	p.put(record.Run, r)
}

func (p *place) put(kind string, r record.Record) {
	p.T.Helper()
	_, err := recorded.Write(context.Background(), p.Repo, kind, &r, func() time.Time { return p.now })
	must(p.T, err)
}

func (p *place) page() string {
	p.T.Helper()
	archives, err := p.Repo.Archives(context.Background(), func(name string, err error) { p.T.Errorf("%s: %v", name, err) })
	must(p.T, err)
	prices, err := reported.ParsePrices(nil, func(string) string { return "" })
	must(p.T, err)
	in, err := reported.Gather(context.Background(), p.Repo, archives, reported.Options{Place: "s3://bucket/all", Now: p.now, Zone: time.UTC, Changes: 5, Prices: prices, Version: "nightjar"})
	must(p.T, err)
	var b bytes.Buffer
	must(p.T, report.Write(&b, *in))
	return b.String()
}

// Thirty nights of a real repository, looked at as people do: in a browser, wide and narrow.
func TestReport(t *testing.T) {
	p := newPlace(t)
	p.Write("logs/old.log", "what never changes")
	for i := range 30 {
		p.Write("www/uploads/new", strings.Repeat("x", 1000*(i+1)))
		switch i {
		case 11:
			p.night(record.Failed, "store pack: no space left on device")
		case 20:
			p.night(record.Problems, "problems: 1")
		default:
			p.night(record.Done, "")
		}
		if i == 25 {
			p.put(record.Drill, record.Record{Job: "job", Outcome: record.Done, Archive: p.Last.ID, Start: p.now, End: p.now.Add(90 * time.Second)})
		}
		p.now = p.now.Add(24*time.Hour - 4*time.Minute)
	}
	p.now = p.now.Add(48 * time.Hour) // nothing runs any more
	p.put(record.Run, record.Record{Job: strings.Repeat("W", 300), Kind: "check", Outcome: record.Done, Start: p.now, End: p.now})
	page := p.page()
	for _, width := range []int{1280, 360} {
		seen := look(t, page, width)
		if seen.overflows {
			t.Errorf("at %d pixels the page is %s wide", width, seen.size)
		}
		if width > 1000 && seen.scrolls != "0" {
			t.Errorf("at %d pixels tables that have to be scrolled: %s", width, seen.scrolls)
		}
		for _, want := range []string{
			"One thing needs attention", "host job is overdue", "it last succeeded on", "3 days ago", "store pack: no space left on device", "problems: 1",
			"Last proven restore", "What keeping it costs, about", p.Path("www/uploads"), "1 file, 29.3 KiB", "1m30s", "0 3 * * * UTC",
		} {
			if !strings.Contains(seen.text, want) {
				t.Errorf("at %d pixels nobody reads %q in:\n%s", width, want, seen.text)
			}
		}
		for _, cell := range []string{"Job: host job", "Outcome: failed", "Message: store pack", "By host: host", "Took: 1m30s"} {
			if narrow := width < 576; strings.Contains(seen.text, cell) != narrow {
				t.Errorf("at %d pixels, whether a cell's head stands before it (%s) is not %v:\n%s", width, cell, narrow, seen.text)
			}
		}
		if strings.Contains(seen.text, "logs") {
			t.Errorf("a folder without changes is among those that changed most:\n%s", seen.text)
		}
		if done, problems, failed := strings.Count(seen.text, "✓"), strings.Count(seen.text, "!\n")+strings.Count(seen.text, "!\t"), strings.Count(seen.text, "✕"); done != 28+1+1 || failed != 1+1 || problems != 1 {
			t.Errorf("at %d pixels the calendar and its key have %d nights that are done, %d with problems, %d that failed:\n%s", width, done, problems, failed, seen.text)
		}
	}
}

// A sight is what a browser shows of a page.
type sight struct {
	text, size string
	scrolls    string // how many tables are wider than there is room
	overflows  bool
}

// look shows a page in a frame of a width, reads it, and sees that something was painted.
func look(t *testing.T, page string, width int) sight {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("the test needs chromium")
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "page.html"), []byte(page), 0o600))
	frame := fmt.Sprintf(`<!DOCTYPE html><iframe src="page.html" width="%d" height="900" onload="
		let d = this.contentDocument, o = document.createElement('pre');
		d.querySelectorAll('.aloud').forEach(e => e.remove());
		d.querySelectorAll('.stack td').forEach(e => { // what a style says before a cell is no text of the page
			let before = this.contentWindow.getComputedStyle(e, '::before').content.match(/\x22[^\x22]*\x22/);
			if (before && e.offsetHeight) e.prepend(JSON.parse(before[0])) });
		let scrolls = [...d.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth).length;
		o.textContent = 'SCROLLS ' + scrolls + ' WIDTH ' + d.documentElement.scrollWidth + ' OF ' + this.clientWidth + '\n' + d.body.innerText + '\nEND';
		document.body.appendChild(o)"></iframe>`, width)
	must(t, os.WriteFile(filepath.Join(dir, "frame.html"), []byte(frame), 0o600))
	run := func(args ...string) string {
		c := exec.Command(browser, append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--allow-file-access-from-files", "--user-data-dir=" + filepath.Join(dir, "profile")}, args...)...)
		c.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir)
		var complaints bytes.Buffer
		c.Stderr = &complaints
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, complaints.Bytes())
		}
		return string(out)
	}
	dom := run("--dump-dom", "file://"+filepath.Join(dir, "frame.html"))
	found := regexp.MustCompile(`(?s)SCROLLS (\d+) WIDTH (\d+) OF (\d+)\n(.*)\nEND`).FindStringSubmatch(dom)
	if found == nil {
		t.Fatalf("the browser read nothing: %s", dom)
	}
	picture := filepath.Join(dir, "page.png")
	run(fmt.Sprintf("--window-size=%d,1200", width), "--screenshot="+picture, "file://"+filepath.Join(dir, "page.html"))
	if n := colours(t, picture); n < 10 {
		t.Errorf("at %d pixels the page has %d colours", width, n)
	}
	return sight{text: found[4], size: found[2], scrolls: found[1], overflows: found[2] != found[3]}
}

func colours(t *testing.T, name string) int {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	img, err := png.Decode(f)
	must(t, err)
	all := map[[3]uint32]bool{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			all[[3]uint32{r, g, b}] = true
		}
	}
	return len(all)
}

// Names come from other hosts, and from files: what they say is text.
func TestHostileNames(t *testing.T) {
	const evil = "</style></title><script>alert(1)</script>\x1b[2J\u202e\"'`<img src=x onerror=alert(1)>"
	p := newPlace(t)
	for i := range 2 {
		p.Write("<script>alert(2)<\x1b/x", strings.Repeat("x", i+1))
		p.night(record.Done, "")
		p.put(record.Run, record.Record{Job: evil, Kind: evil, Outcome: record.Failed, Exit: 1, Error: evil, Start: p.now, End: p.now, Schedule: evil, Zone: evil, Notes: map[string]string{"position": evil}})
		p.now = p.now.Add(24 * time.Hour)
	}
	page := p.page()
	for _, bad := range []string{"<script", "<img", "\x1b", "\u202e"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the page does not show the name")
	}
}

func TestPrices(t *testing.T) {
	for _, bad := range []string{"", "STANDARD", "=1", "STANDARD=", "STANDARD=-1", "STANDARD=x", "STANDARD=Inf", "STANDARD=NaN"} {
		if _, err := reported.ParsePrices([]string{bad}, nil); err == nil {
			t.Errorf("%q is a price", bad)
		}
	}
	if _, err := reported.ParsePrices([]string{"OWN=0.005"}, nil); err != nil {
		t.Error(err)
	}
}
