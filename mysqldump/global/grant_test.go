package global

import (
	"slices"
	"strings"
	"testing"
)

// one is a server with one table, one view and one function.
type one struct{}

func (one) Columns(database, name string) ([]string, bool) {
	return []string{"a", "b#c"}, database == "d" && (name == "t" || name == "v")
}
func (one) IsView(database, name string) bool { return database == "d" && name == "v" }
func (one) HasProgram(kind, database, name string) bool {
	return kind == "function" && database == "d" && strings.EqualFold(name, "f")
}

func TestLoadableGrant(t *testing.T) {
	r := &reader{Objects: one{}}
	for _, c := range []struct {
		grant, loadable string
		whole           bool
	}{
		{"GRANT SELECT ON `d`.`t` TO `u`@`%`", "GRANT SELECT ON `d`.`t` TO `u`@`%`", true},
		{"GRANT SELECT ON `d`.`gone` TO `u`@`%`", "", false},
		{"GRANT CREATE ON `d`.`gone` TO `u`@`%`", "GRANT CREATE ON `d`.`gone` TO `u`@`%`", true},
		{"GRANT SELECT (`a`, `gone`), INSERT ON `d`.`t` TO `u`@`%`", "GRANT SELECT (`a`), INSERT ON `d`.`t` TO `u`@`%`", false},
		{"GRANT SELECT (b#c, a) ON `d`.`t` TO `u`@`%`", "GRANT SELECT (`b#c`, `a`) ON `d`.`t` TO `u`@`%`", true}, // of MySQL 5.7
		{"GRANT EXECUTE ON FUNCTION `d`.`F` TO `u`@`%`", "GRANT EXECUTE ON FUNCTION `d`.`F` TO `u`@`%`", true},
		{"GRANT EXECUTE ON PROCEDURE `d`.`f` TO `u`@`%`", "", false},
		{"GRANT ALL PRIVILEGES ON *.* TO `u`@`%`", "GRANT ALL PRIVILEGES ON *.* TO `u`@`%`", true},
	} {
		if loadable, whole := r.loadableGrant(c.grant); loadable != c.loadable || whole != c.whole {
			t.Errorf("%s: %q, %v", c.grant, loadable, whole)
		}
	}
}

func TestCutDefaultRole(t *testing.T) {
	rest, roles := cutDefaultRole("`u`@`%` IDENTIFIED WITH 'x' AS 'y' DEFAULT ROLE `a`@`b`,`c`@`%` REQUIRE NONE")
	if rest != "`u`@`%` IDENTIFIED WITH 'x' AS 'y' REQUIRE NONE" || roles != "DEFAULT ROLE `a`@`b`,`c`@`%`" {
		t.Errorf("%q, %q", rest, roles)
	}
}

// Whatever the server prints, nothing fails, and what is not understood stays.
func FuzzGrant(f *testing.F) {
	f.Add("GRANT SELECT (`a`, b#c), INSERT ON `d`.`t` TO `u`@`%`")
	f.Add("`u`@`%` IDENTIFIED WITH 'x' AS 'y' DEFAULT ROLE `a`@`b`,`c`@`%` REQUIRE NONE")
	f.Add("GRANT EXECUTE ON PACKAGE BODY")
	f.Fuzz(func(t *testing.T, text string) {
		r := &reader{Objects: one{}}
		_, _ = r.loadableGrant(text)
		_, _ = r.onView(tokensOf(text))
		_ = grantee(text, tokensOf(text))
		_ = withPassword(text)
		if rest, roles := cutDefaultRole(text); roles == "" && rest != text {
			t.Errorf("%q became %q", text, rest)
		}
		_ = slices.Clone(splitPrivileges(text, []string{"a"}))
	})
}
