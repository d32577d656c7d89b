package datadir

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"nightjar/internal/durable"
)

// Logs is the folder of a server's binary log, outside of its data directory.
type Logs struct{ d *Dir }

// OpenLogs opens a folder that has a binary log. Nothing is changed.
func OpenLogs(dir string) (*Logs, error) {
	d := &Dir{}
	var err error
	if d.path, err = filepath.EvalSymlinks(dir); err == nil {
		d.root, err = os.OpenRoot(d.path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the folder of the binary log %q: %w", dir, err)
	}
	return &Logs{d}, nil
}

// Close closes the folder.
func (l *Logs) Close() { l.d.root.Close() }

// Path is the path of a file in the folder.
func (l *Logs) Path(name string) string { return path.Join(l.d.path, name) }

// BinaryLogs is as that of a data directory.
func (l *Logs) BinaryLogs(index string) (list string, logs []string, err error) {
	return l.d.BinaryLogs(index)
}

// Last returns the logs that the folder's list names, and when the last of them was written. There are none if that is not there, or does not begin as
// a binary log does.
func (l *Logs) Last(index string) (logs []string, written time.Time, err error) {
	_, logs, err = l.d.BinaryLogs(index)
	if err != nil || len(logs) == 0 {
		return nil, written, err
	}
	info, err := l.d.root.Lstat(logs[len(logs)-1])
	if err != nil || !info.Mode().IsRegular() {
		return nil, written, nil
	}
	f, err := l.Open(logs[len(logs)-1])
	if err != nil {
		return nil, written, err
	}
	defer f.Close()
	magic := make([]byte, 4)
	_, _ = io.ReadFull(f, magic)                              // what is shorter is none
	if m := string(magic); m != "\xfebin" && m != "\xfdbin" { // the latter is encrypted
		return nil, written, nil
	}
	return logs, info.ModTime(), nil
}

// Open opens a file in the folder to be read.
func (l *Logs) Open(name string) (*os.File, error) { return l.d.Open(name) }

// Adapt has a list of logs name those in the folder. A log that is not there, or is no file, is an error that wraps ErrUnsafe. It may be called again.
func (l *Logs) Adapt(list string) (notes []string, err error) {
	if err := l.adapt(list, &notes); err != nil {
		return nil, fmt.Errorf("adapt the folder of the binary log %q: %w", l.d.path, err)
	}
	return notes, nil
}

func (l *Logs) adapt(list string, notes *[]string) error {
	files, err := l.files(list)
	if err != nil {
		return err
	}
	text, err := readText(l.d.root, list)
	if err != nil {
		return err
	}
	to, err := relinked(text, l.d.path+"/", true, func(base string) bool { return files[base] })
	if err != nil || to == text {
		return err
	}
	if to == "" {
		return fmt.Errorf("%w: %s names no log that is beside it", ErrUnsafe, list)
	}
	*notes = append(*notes, fmt.Sprintf("%s named logs by other paths: now it names those in %s", list, l.d.path))
	if err := durable.WriteFile(l.Path(list), []byte(to), 0o660); err != nil {
		return err
	}
	if uid, gid, ok := ownerOf(l.d.path); ok {
		return l.d.give(list, Owner{uid, gid})
	}
	return nil
}

// files returns the names of the log's files, all of which have to be files: a server would follow a link.
func (l *Logs) files(list string) (map[string]bool, error) {
	_, logs, err := l.d.BinaryLogs(list)
	if err != nil {
		return nil, err
	}
	names, err := l.d.names()
	if err != nil {
		return nil, err
	}
	prefix := map[string]bool{strings.TrimSuffix(list, ".index"): true}
	for _, log := range logs {
		prefix[strings.TrimSuffix(log, path.Ext(log))] = true
	}
	files := map[string]bool{}
	for _, name := range names {
		if !prefix[strings.TrimSuffix(name, path.Ext(name))] && !strings.HasPrefix(name, list) {
			continue
		}
		info, err := l.d.root.Lstat(name)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() && !info.IsDir() {
			return nil, fmt.Errorf("%w: %q is no file", ErrUnsafe, name)
		}
		files[name] = info.Mode().IsRegular()
	}
	return files, nil
}

// Give gives the folder, and the log's files in it, to an owner.
func (l *Logs) Give(list string, o Owner) error {
	files, err := l.files(list)
	if err == nil {
		err = l.d.give(".", o)
	}
	for name, is := range files {
		if err == nil && is {
			err = l.d.give(name, o)
		}
	}
	if err != nil {
		return fmt.Errorf("give the binary log in %q to user %d: %w", l.d.path, o.UID, err)
	}
	return nil
}

// BinaryLogs returns the list of binary logs in the folder, and the logs that it names, the last one last. An empty name is any that is not one of
// relay logs; of several it is the one whose last log was written last, as a server's binary log may have had other names. A folder may have none.
func (d *Dir) BinaryLogs(index string) (list string, logs []string, err error) {
	names, err := d.names()
	if err != nil {
		return "", nil, err
	}
	var newest time.Time
	for _, name := range names {
		if !strings.HasSuffix(name, ".index") || index == "" && strings.Contains(name, "relay") || index != "" && name != index {
			continue
		}
		listed, err := d.listed(name)
		if err != nil {
			return "", nil, err
		}
		var written time.Time
		if len(listed) > 0 {
			if info, err := d.root.Lstat(listed[len(listed)-1]); err == nil {
				written = info.ModTime()
			}
		}
		if list == "" || written.After(newest) {
			list, logs, newest = name, listed, written
		}
	}
	if list == "" && index != "" {
		return "", nil, fmt.Errorf("find the binary logs in %q: there is no %.100q", d.path, index)
	}
	return list, logs, nil
}

// listed returns the names of the logs that a list names, whatever their paths.
func (d *Dir) listed(index string) (logs []string, err error) {
	text, err := readText(d.root, index)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		if base := path.Base(strings.TrimSpace(line)); base != "." && base != "/" {
			logs = append(logs, base)
		}
	}
	return logs, nil
}

// Unclosed returns tables of MyISAM that a server had changed and not closed, as FOLDER/FILE without the ending: they are as whole as a crash left
// them. The count is in each index file, as storage/myisam/mi_locking.c of MySQL writes it.
func (d *Dir) Unclosed() (tables []string, err error) {
	const header, most = 27, 1000
	err = d.walk(func(name string, e fs.DirEntry) error {
		if e.IsDir() || !strings.HasSuffix(name, ".MYI") || len(tables) == most {
			return nil
		}
		f, err := d.root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		b := make([]byte, header)
		if n, _ := f.ReadAt(b, 0); n < header || b[0] != 0xfe || b[1] != 0xfe || b[2] != 7 {
			return nil
		}
		const crashed = 2
		if b[24] != 0 || b[25] != 0 || b[26]&crashed != 0 { // how many had it open for writing; flags
			tables = append(tables, strings.TrimSuffix(name, ".MYI"))
		}
		return nil
	})
	return tables, err
}
