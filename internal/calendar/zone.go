package calendar

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// alwaysUTC is what POSIX lets TZ say of a zone that is never away from UTC.
var alwaysUTC = regexp.MustCompile(`^(UTC|([A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?0{1,2}(:00)*)$`)

// ZoneName returns the name of this machine's zone by which it is found elsewhere, empty if it has none; tz is what the variable TZ says, and local what Go made of it. known is
// false if that is UTC for want of a zone that TZ names: POSIX's rules, such as CET-1CEST,M3.5.0,M10.5.0/3, are not known to Go.
func ZoneName(tz string, local *time.Location) (name string, known bool) {
	tz = strings.TrimPrefix(tz, ":")
	if local.String() == "UTC" {
		return "UTC", tz == "" || alwaysUTC.MatchString(tz)
	}
	path := cmp.Or(tz, "/etc/localtime")
	if !filepath.IsAbs(path) {
		return local.String(), true
	}
	to, _ := os.Readlink(path) // mostly /etc/localtime is a link, and nothing else
	for _, path := range []string{path, to} {
		if _, name, ok := strings.Cut(filepath.Clean(path), "zoneinfo/"); ok {
			return name, true
		}
	}
	return "", true
}
