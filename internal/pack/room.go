//go:build !js

package pack

import (
	"windmp/internal/atomicfile"
	"windmp/physmem"
	"windmp/physmem/open"
)

// newRoom is a temporary file in a folder.
func newRoom(dir string) (room, error) {
	f, err := atomicfile.CreateUnnamed(dir, unpackedName)
	if err != nil {
		return nil, err
	}
	return folderRoom{f}, nil
}

// folderRoom is a temporary file.
type folderRoom struct{ *atomicfile.Unnamed }

func (r folderRoom) space(n int64) error                 { return atomicfile.CheckSpace(r.Folder(), n) }
func (r folderRoom) finder() (physmem.DataFinder, error) { return open.NewFile(r.File) }
