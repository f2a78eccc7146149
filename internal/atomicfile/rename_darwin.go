package atomicfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameNew renames a file to a name that must be free, in one step: renamex_np,
// which a file system need not know (ENOTSUP).
func renameNew(from, to string) error {
	if err := unix.RenamexNp(from, to, unix.RENAME_EXCL); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
