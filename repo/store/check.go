package store

import (
	"context"
	"fmt"
	"io"
)

// Check is what every method of a Store begins with that takes a name: verb is
// what it does, like "read".
func Check(ctx context.Context, verb, name string) error {
	if err := CheckName(name); err != nil {
		return fmt.Errorf("%s object: %w", verb, err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s object %s: %w", verb, name, err)
	}
	return nil
}

// CheckPut is Check for what stores an object of that many bytes.
func CheckPut(ctx context.Context, verb, name string, size int) error {
	if err := Check(ctx, verb, name); err != nil {
		return err
	}
	if size > MaxObject {
		return fmt.Errorf("%s object %s: %d bytes, at most %d: %w", verb, name, size, MaxObject, ErrTooLarge)
	}
	return nil
}

// CheckRange refuses a range that an object of the given size does not have.
func CheckRange(name string, offset int64, length int, size int64) error {
	switch {
	case offset < 0:
		return fmt.Errorf("read object %s: negative offset %d", name, offset)
	case size > MaxObject:
		return fmt.Errorf("read object %s: %d bytes: %w", name, size, ErrTooLarge)
	case offset > size, int64(length) > size-offset:
		return fmt.Errorf("read object %s: %d bytes at %d wanted, object ends at %d: %w",
			name, length, offset, size, io.ErrUnexpectedEOF)
	}
	return nil
}

// CheckList is what every List begins with.
func CheckList(ctx context.Context, prefix string) error {
	if err := CheckPrefix(prefix); err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	return nil
}
