package roundtrip

import (
	"bytes"
	"os"
	"regexp"
	"strings"
)

// statementsOf reads a file of MariaDB's regression suite, and returns its statements: what its own language would do
// with results, connections and conditions is left out, and what it repeats is there once.
func statementsOf(path string) ([]string, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &testFile{lines: strings.SplitAfter(string(file), "\n"), delimiter: ";", variables: map[string]string{}}
	for len(p.lines) > 0 {
		p.step()
	}
	return p.statements, nil
}

type testFile struct {
	lines      []string
	delimiter  string
	variables  map[string]string
	statements []string
}

// commands are words that begin a command of the suite's language.
var commands = regexp.MustCompile(`(?i)^(let|eval|source|connect|connection|disconnect|(en|dis)able_\w+|error|exec|exec_in_background|system|echo|sleep|real_sleep|send\w*|reap|inc|dec|die|exit|skip|remove_file\w*|` +
	`write_file|append_file|cat_file|copy_file|diff_files|move_file|mkdir|rmdir|chmod|file_exists|list_files\w*|perl|query_vertical|query_horizontal|query_get_value|replace_\w+|vertical_results|horizontal_results|sorted_result|lowercase_result|` +
	`character_set|require|dirty_close|ping|start_timer|end_timer|result|result_format|query|eval_result|wait_for_slave_to_stop|shutdown_server|change_user|reset_connection|save_master_pos|sync_\w+|delimiter|output|partially_sorted_result|optimizer_trace|ps_\w+|evalp?)\b`)

// step takes one command or statement.
func (p *testFile) step() {
	line := p.lines[0]
	text := strings.TrimSpace(line)
	switch {
	case text == "" || strings.HasPrefix(text, "#") || text == "{" || text == "}" || strings.HasPrefix(text, "if ") || strings.HasPrefix(text, "if(") || strings.HasPrefix(text, "while"):
		p.lines = p.lines[1:]
	case strings.HasPrefix(text, "--") && !strings.HasPrefix(text, "-- #"):
		p.lines = p.lines[1:]
		p.command(strings.TrimSpace(text[2:]), true)
	case strings.HasPrefix(text, "--"):
		p.lines = p.lines[1:]
	default:
		text := strings.TrimSpace(p.until())
		for strings.HasPrefix(text, "}") || strings.HasPrefix(text, "{") {
			text = strings.TrimSpace(text[1:])
		}
		if commands.MatchString(text) {
			p.command(text, false)
		} else if text != "" {
			p.statements = append(p.statements, text)
		}
	}
}

// until takes all to the next delimiter that is in no quotes.
func (p *testFile) until() string {
	var b bytes.Buffer
	quote := byte(0)
	for len(p.lines) > 0 {
		line := p.lines[0]
		p.lines = p.lines[1:]
		if quote == 0 && strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for i := 0; i < len(line); i++ {
			switch c := line[i]; {
			case quote != 0 && c == '\\' && quote != '`' && i+1 < len(line):
				b.WriteByte(c)
				i++
			case quote != 0 && c == quote:
				quote = 0
			case quote == 0 && strings.HasPrefix(line[i:], p.delimiter):
				if rest := line[i+len(p.delimiter):]; strings.TrimSpace(rest) != "" && !strings.HasPrefix(strings.TrimSpace(rest), "#") {
					p.lines = append([]string{rest}, p.lines...)
				}
				return b.String()
			case quote == 0 && (c == '\'' || c == '"' || c == '`'):
				quote = c
			}
			b.WriteByte(line[i])
		}
	}
	return b.String()
}

var assignment = regexp.MustCompile(`(?is)^let\s+\$(\w+)\s*=\s*(.*)$`)

// command does what a command means for the statements.
func (p *testFile) command(text string, dashed bool) {
	word, rest, _ := strings.Cut(text, " ")
	if i := strings.IndexAny(word, ";\t"); i >= 0 {
		word = word[:i]
	}
	switch strings.ToLower(word) {
	case "delimiter":
		if rest = strings.TrimSpace(rest); dashed {
			rest = strings.TrimSuffix(rest, p.delimiter)
		}
		if rest = strings.Fields(rest + " ;")[0]; rest != "" {
			p.delimiter = rest
		}
	case "character_set":
		p.statements = append(p.statements, "SET NAMES "+strings.TrimSpace(rest))
	case "let":
		if m := assignment.FindStringSubmatch(text); m != nil && !strings.Contains(m[2], "`") {
			if value, ok := p.expand(strings.Trim(strings.TrimSpace(m[2]), `"'`)); ok {
				p.variables[m[1]] = value
			}
		}
	case "eval", "evalp":
		if statement, ok := p.expand(strings.TrimSpace(rest)); ok {
			p.statements = append(p.statements, strings.TrimSuffix(statement, p.delimiter))
		}
	case "query", "send", "query_vertical", "query_horizontal":
		p.statements = append(p.statements, strings.TrimSpace(rest))
	case "perl", "write_file", "append_file":
		end := "EOF"
		if fields := strings.Fields(strings.TrimRight(rest, ";")); len(fields) > 0 && word != "perl" && len(fields) > 1 {
			end = fields[len(fields)-1]
		} else if word == "perl" && len(fields) > 0 {
			end = fields[0]
		}
		for len(p.lines) > 0 {
			line := strings.TrimSpace(p.lines[0])
			p.lines = p.lines[1:]
			if line == end {
				return
			}
		}
	}
}

var variable = regexp.MustCompile(`\$\w+`)

// expand puts values in for variables; ok is false if one is not known.
func (p *testFile) expand(text string) (expanded string, ok bool) {
	ok = true
	expanded = variable.ReplaceAllStringFunc(text, func(name string) string {
		value, known := p.variables[name[1:]]
		ok = ok && known
		return value
	})
	return expanded, ok
}
