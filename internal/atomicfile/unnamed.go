package atomicfile

import "os"

// An Unnamed is a temporary file for reading and writing that is gone when it is
// closed, and where the system allows it (Unix, Windows) also when the process ends
// in any other way.
type Unnamed struct {
	*os.File
	guard *File
}

// CreateUnnamed creates an unnamed file in the folder dir, that for temporary files
// if it is empty. It can have holes. As long as it has a name, base stands in it;
// what killed runs left of the same base is removed.
func CreateUnnamed(dir, base string) (*Unnamed, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	guard, _, err := createTemp(dir, base)
	if err != nil {
		return nil, err
	}
	f, err := untilClosed(guard.File)
	if err != nil {
		guard.release()
		return nil, err
	}
	AllowHoles(f)
	return &Unnamed{File: f, guard: guard}, nil
}

// Folder is where the file takes space.
func (u *Unnamed) Folder() string { return u.guard.Folder() }

// Close closes and removes the file.
func (u *Unnamed) Close() error {
	defer u.guard.release()
	return discard(u.File)
}
