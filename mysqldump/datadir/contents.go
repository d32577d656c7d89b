package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"nightjar/internal/tempdir"
	"nightjar/mysqldump"
	"nightjar/mysqldump/hotinfo"
)

const maxText = hotinfo.MaxSize // bytes of a text file in a data directory

// readText reads a small file; no error and no text if it is not there.
func readText(root *os.Root, name string) (string, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("read %s: it is too large", name)
	}
	return string(text), err
}

// ErrPosition says that a backup is not at the position that its archive says.
var ErrPosition = errors.New("the files of the backup are of another position than the archive says")

// CheckPosition reads where the backup was taken from what the tool wrote into it, and compares that with the archive's position. It has to be
// called before Prepare.
func (d *Dir) CheckPosition(label mysqldump.Position) error {
	binlog, err := firstText(d.root, hotinfo.BinlogNames)
	if err != nil {
		return fmt.Errorf("read the position of the backup: %w", err)
	}
	info, err := firstText(d.root, hotinfo.Names)
	if err != nil {
		return fmt.Errorf("read the position of the backup: %w", err)
	}
	is, err := hotinfo.Position(binlog, info)
	if err != nil && !errors.Is(err, hotinfo.ErrNone) {
		return fmt.Errorf("read the position of the backup: %w", err)
	}
	if is.File != label.File || is.Offset != label.Offset || !label.GTIDs.IsZero() && !is.GTIDs.Equal(label.GTIDs) {
		return fmt.Errorf("%w: %s, and %s", ErrPosition, is, label)
	}
	return nil
}

// firstText reads the first of some files that is there and not empty; no text if none is.
func firstText(root *os.Root, names []string) (text string, err error) {
	for _, name := range names {
		if text, err = readText(root, name); err != nil || text != "" {
			break
		}
	}
	return text, err
}

const (
	// SettingsFile has the settings that the tool noted; in clones, those that a server on them needs.
	SettingsFile = "backup-my.cnf"
	// FoldersFile has the names of a clone's folders, with slashes, a line each: a server misses those that are empty.
	FoldersFile = "nightjar-folders"
)

// makeFolders makes the folders that are named in FoldersFile.
func (d *Dir) makeFolders() error {
	text, err := readText(d.root, FoldersFile)
	if err != nil {
		return err
	}
	for name := range strings.Lines(text) {
		name = strings.TrimSuffix(name, "\n")
		if !fs.ValidPath(name) || name == "." {
			return fmt.Errorf("%w: %s has %.100q", ErrUnsafe, FoldersFile, name)
		}
		if err := d.root.MkdirAll(name, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// settings reads what the tool noted of the server's settings, by which it prepares the backup, and which the server needs too. A setting that
// would lead out of the folder, or have a program loaded, is an error that wraps ErrUnsafe.
func settings(root *os.Root) (map[string]string, error) {
	text, err := readText(root, SettingsFile)
	if err != nil {
		return nil, err
	}
	return parseSettings(text)
}

func parseSettings(text string) (map[string]string, error) {
	found := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "[") {
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		name, value = strings.ReplaceAll(strings.TrimSpace(name), "-", "_"), strings.TrimSpace(value)
		if !strings.HasPrefix(name, "innodb_") && name != "lower_case_table_names" {
			return nil, fmt.Errorf("%w: backup-my.cnf has %.100q: encrypted data directories are prepared by hand", ErrUnsafe, name)
		}
		if name == "innodb_undo_directory" {
			value = "./" // the tool has put the undo logs beside the rest
		}
		if err := staysInside(name, value); err != nil {
			return nil, err
		}
		found[name] = value
	}
	return found, nil
}

// staysInside checks all paths in a setting.
func staysInside(name, value string) error {
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return r == ';' || r == ':' }) {
		if clean := path.Clean(part); path.IsAbs(clean) || climbs(part) || strings.ContainsAny(part, "\"'\\") {
			return fmt.Errorf("%w: backup-my.cnf has %s=%.200s", ErrUnsafe, name, value)
		}
	}
	return nil
}

// optionFile returns an open file without a name that has the settings for a program.
func optionFile(temp tempdir.Dir, group string, set map[string]string) (*os.File, error) {
	f, err := temp.Create("options")
	if err != nil {
		return nil, err
	}
	text := "[" + group + "]\n"
	for _, name := range slices.Sorted(maps.Keys(set)) {
		text += name + "=" + set[name] + "\n"
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return nil, fmt.Errorf("write options of %s: %w", group, err)
	}
	return f, nil
}
