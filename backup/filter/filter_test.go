package filter

import "testing"

func TestMalformed(t *testing.T) {
	for _, bad := range []string{"", "/", "[", "a[", "{a", "a\\", "a\x00b"} {
		if _, err := New(Options{Exclude: []string{bad}}); err == nil {
			t.Errorf("pattern %q is taken", bad)
		}
	}
}

// FuzzParse has no text of a pattern do harm.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"[", "[a", `[\`, "[a-", "[!", "{}", "[]-]", `[\]`, "[a-\xff]", "**{a,b}[c-d]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parse(text); err == nil {
			p.matches("/a/b", false)
		}
	})
}

// The root has no name that a pattern may be for: /* and /** are what is in it.
func TestRoot(t *testing.T) {
	f, err := New(Options{Exclude: []string{"/*", "*", "**", "/**", "!/etc"}})
	if err != nil {
		t.Fatal(err)
	}
	if f.Excludes("/", true, 0) || f.Excludes("/etc", true, 0) || !f.Excludes("/usr", true, 0) {
		t.Error("the root is left out, or /etc, or not the rest")
	}
}

// What may lie below a directory decides whether it is looked into.
func TestIncludes(t *testing.T) {
	f, err := New(Options{Include: []string{"/srv/*/conf", "/{a,b/c}/x", "sub/file"}})
	if err != nil {
		t.Fatal(err)
	}
	anywhere, err := New(Options{Include: []string{"*.conf"}})
	if err != nil {
		t.Fatal(err)
	}
	only, err := New(Options{Include: []string{"/srv/*/conf"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		f         *Filter
		name      string
		above     bool
		is, below bool
	}{
		{nil, "/etc", false, true, true},
		{new(Filter), "/etc", false, true, true},
		{only, "/srv", false, false, true},
		{only, "/srv/web", false, false, true},
		{only, "/srv/web/conf", false, true, true},
		{only, "/srv/web/conf/deep", false, false, false},
		{only, "/srv/web/conf/deep", true, true, true},
		{only, "/srv/web/other", false, false, false},
		{only, "/etc", false, false, false},
		{anywhere, "/etc", false, false, true},
		{anywhere, "/etc/my.conf", false, true, true},
		{f, "/b/c/x", false, true, true},
		{f, "/any/where/sub/file", false, true, true},
		{f, "/any/where", false, false, true},
	} {
		if is, below := x.f.Includes(x.name, true, x.above); is != x.is || below != x.below {
			t.Errorf("%s, above %v: %v, below %v", x.name, x.above, is, below)
		}
	}
}
