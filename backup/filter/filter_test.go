package filter

import "testing"

func TestMalformed(t *testing.T) {
	for _, bad := range []string{"", "/", "[", "a[", "{a", "a\\"} {
		if _, err := New(Options{Exclude: []string{bad}}); err == nil {
			t.Errorf("pattern %q is taken", bad)
		}
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
