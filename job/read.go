package job

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"
)

// MaxBytes is how large a job file may be.
const MaxBytes = 1 << 20

// Read reads a job file.
func Read(path string) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find job file: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read job file: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read job file %s: %w", path, err)
	}
	return Parse(path, content)
}

// Parse reads the content of a job file. What is unknown or of a wrong type is an error with its line.
func Parse(path string, content []byte) (*File, error) {
	if len(content) > MaxBytes {
		return nil, fmt.Errorf("read job file %s: it has more than %d bytes", path, MaxBytes)
	}
	file := &File{Path: path}
	err := toml.NewDecoder(bytes.NewReader(content)).DisallowUnknownFields().Decode(file)
	var wrong *toml.DecodeError
	var unknown *toml.StrictMissingError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		wrong = &unknown.Errors[0]
		row, _ := wrong.Position()
		return nil, fmt.Errorf("read job file %s, line %d: unknown key %q", path, row, wrong.Key())
	case errors.As(err, &wrong):
		row, _ := wrong.Position()
		return nil, fmt.Errorf("read job file %s, line %d: %w", path, row, err)
	case err != nil:
		return nil, fmt.Errorf("read job file %s: %w", path, err)
	}
	return file, nil
}
