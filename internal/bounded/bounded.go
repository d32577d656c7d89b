// Package bounded reads files and folders that may be larger than anybody has memory for.
package bounded

import (
	"fmt"
	"io"
	"os"
	"slices"
)

// ReadFile returns what is in a file. One of more than most bytes is an error.
func ReadFile(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f, most)
}

// Read returns what is left in a file. More than most bytes are an error.
func Read(f *os.File, most int) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(content) > most {
		err = fmt.Errorf("%s: more than %d bytes", f.Name(), most)
	}
	return content, err
}

// Names returns the names in a folder, sorted. More than most are an error.
func Names(dir string, most int) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(most + 1)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(names) > most {
		return nil, fmt.Errorf("%s has more than %d entries", dir, most)
	}
	slices.Sort(names)
	return names, nil
}
