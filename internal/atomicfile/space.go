package atomicfile

import (
	"fmt"

	"windmp/internal/binio"
)

// SpaceError says that a file system can't hold what is to be written.
type SpaceError struct {
	// Dir is a folder of that file system.
	Dir        string
	Need, Free uint64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("not enough space in %s: %s are needed, %s are free", Quote(e.Dir), binio.Bytes(e.Need), binio.Bytes(e.Free))
}

// CheckSpace compares need, in bytes, with what an unprivileged user may still
// write to the file system of the folder dir; the error is a [*SpaceError]. Where
// the system does not tell, it allows the attempt.
func CheckSpace(dir string, need int64) error {
	free, err := freeSpace(dir)
	if err != nil || need < 0 || uint64(need) <= free {
		return nil //nolint:nilerr // not knowing is no reason to refuse
	}
	return &SpaceError{Dir: dir, Need: uint64(need), Free: free}
}
