package store

import (
	"context"
	"fmt"
	"io"
)

// check is what every method that takes a name begins with.
func check(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// checkRange refuses a range that an object of the given size does not have.
func checkRange(name string, offset int64, length int, size int64) error {
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

// checkList is what every List begins with.
func checkList(ctx context.Context, prefix string) error {
	if err := CheckPrefix(prefix); err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	return nil
}

// checkPut is what every Put begins with.
func checkPut(ctx context.Context, name string, size int) error {
	if err := check(ctx, name); err != nil {
		return fmt.Errorf("store object: %w", err)
	}
	if size > MaxObject {
		return fmt.Errorf("store object %s: %d bytes, at most %d: %w", name, size, MaxObject, ErrTooLarge)
	}
	return nil
}
