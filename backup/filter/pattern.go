package filter

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxDeep bounds how often ** may stand within a name of a pattern: each time doubles what is compared.
const maxDeep = 6

// A pattern is one that can match.
type pattern struct {
	globs    []string // any of them
	anchored bool     // for whole paths; else for names
	folders  bool     // for folders only
	negated  bool     // takes back what earlier ones leave out
}

// parse reads a pattern, and says why it can match nothing if that is so.
func parse(text string) (p pattern, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("pattern %q: %w", text, err)
		}
	}()
	glob, negated := strings.CutPrefix(text, "!")
	glob, folders := strings.CutSuffix(glob, "/")
	p = pattern{anchored: strings.HasPrefix(glob, "/"), folders: folders, negated: negated}
	switch {
	case strings.ContainsRune(glob, 0):
		return p, errors.New("it can match nothing: it has a zero byte in it; patterns are UTF-8, one on a line")
	case glob == "" || !doublestar.ValidatePattern(glob):
		return p, errors.New("it is malformed")
	case strings.HasPrefix(glob, "./"):
		return p, errors.New("it can match nothing: what begins with ./ is no path that a backup has; write the whole path, from / on, or leave ./ out")
	}
	for name := range strings.SplitSeq(strings.TrimPrefix(glob, "/"), "/") {
		if name == "" || name == "." || name == ".." {
			return p, fmt.Errorf("it can match nothing: no path has %q in it", "/"+name+"/")
		}
	}
	if !p.anchored && strings.Contains(glob, "/") {
		glob, p.anchored = "/**/"+glob, true
	}
	if err := canMatch(glob); err != nil {
		return p, err
	}
	if strings.HasSuffix(glob, "/**") { // what is in it, not itself
		glob += "/*"
	}
	p.globs, err = deepen(glob)
	return p, err
}

// deepen returns globs that match together what one does in which ** stands for anything wherever it is, and not only where it is a whole name.
func deepen(glob string) ([]string, error) {
	globs := []string{""}
	add := func(ways ...string) {
		var all []string
		for _, g := range globs {
			for _, way := range ways {
				all = append(all, g+way)
			}
		}
		globs = all
	}
	for i := 0; i < len(glob); {
		stars := len(glob[i:]) - len(strings.TrimLeft(glob[i:], "*"))
		end := i + max(stars, 1)
		switch {
		case glob[i] == '\\' && end < len(glob):
			end++
			add(glob[i:end])
		case stars < 2:
			add(glob[i:end])
		case strings.ContainsAny(before(glob, i), "/{,") && strings.ContainsAny(after(glob, end), "/},"):
			add("**")
		case len(globs) == 1<<maxDeep:
			return nil, fmt.Errorf("** stands within names more than %d times", maxDeep)
		default:
			add("*", "*/**/*")
		}
		i = end
	}
	return globs, nil
}

// before and after return the character before, and at, a place; at an end of the glob it is a slash.
func before(glob string, at int) string { return after("/"+glob, at) }

func after(glob string, at int) string { return (glob + "/")[at : at+1] }

// matches reports whether the pattern is for the absolute path of a folder or of something else.
func (p *pattern) matches(name string, folder bool) bool {
	if name == "/" || p.folders && !folder { // the root has no name, and is saved for what is in it
		return false
	}
	if !p.anchored {
		name = path.Base(name)
	}
	for _, glob := range p.globs {
		if doublestar.MatchUnvalidated(glob, name) {
			return true
		}
	}
	return false
}

// mayLeadTo reports whether something below a directory can match an anchored pattern.
func (p *pattern) mayLeadTo(dir string) bool {
	for _, glob := range p.globs {
		if mayLeadTo(dir, glob) {
			return true
		}
	}
	return false
}
