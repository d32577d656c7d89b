package ddl

import (
	"fmt"
	"testing"
)

func TestTokens(t *testing.T) {
	kinds := map[Kind]string{Word: "w", Ticked: "`", Quoted: `"`, Text: "'", Sign: "s"}
	for statement, want := range map[string]string{
		"CREATE TABLE `a``b` (c int)":             "w:CREATE w:TABLE `:a`b s:( w:c w:int s:)",
		"/*!50100 PARTITION BY */ x /* no */ y":   "w:PARTITION w:BY w:x w:y",
		"/*M!100100 a*/ b -- it's c\n# it's d\ne": "w:a w:b w:e",
		"1--2 `a`@\"b\" @new.x":                   "w:1 s:- s:- w:2 `:a s:@ \":b s:@ w:new s:. w:x",
		`'it''s' 'a\'' "a""b" 'open`:              `':'it''s' ':'a\'' ":a"b ':'open`,
		"`open":                                   "':`open",
	} {
		got := ""
		for _, tok := range Tokens(statement) {
			got += fmt.Sprintf(" %s:%s", kinds[tok.Kind], tok.Name())
			if string(tok.Text) != statement[tok.From:tok.To] {
				t.Errorf("%q: %q is not where it says", statement, tok.Text)
			}
		}
		if got != " "+want {
			t.Errorf("%q is%s", statement, got)
		}
	}
	l := Lexer{Text: []byte("GRANT SELECT (a#b, c -- d) ON x"), Bare: true}
	if n := len(l.All()); n != 14 {
		t.Errorf("%d tokens of a grant", n)
	}
}

func TestParseTable(t *testing.T) {
	got, ok := ParseTable("CREATE TABLE `t` (\n  `a` int NOT NULL AUTO_INCREMENT,\n  `DEFAULT` int,\n  `c` int DEFAULT NULL,\n  `d` int GENERATED ALWAYS AS (1) VIRTUAL,\n" +
		"  PRIMARY KEY (`a`),\n  UNIQUE KEY `u` (`c`),\n  VECTOR KEY `v` (`d`),\n  CONSTRAINT `f` FOREIGN KEY (`c`) REFERENCES `x` (`y`)\n) ENGINE=InnoDB")
	if want := "{[{a true} {DEFAULT false} {c true} {d true}] [PRIMARY u]}"; !ok || fmt.Sprint(got) != want {
		t.Errorf("%v", got)
	}
	if got, ok := ParseTable("CREATE TABLE `t` (`a` int"); ok {
		t.Errorf("%v", got)
	}
}
