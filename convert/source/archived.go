package source

import (
	"io/fs"
	"path"

	"windmp/internal/pack"
	"windmp/physmem"
)

// archived is what was unpacked of an archive: it has its name there, and the files
// beside it there for neighbours, which are unpacked when they are asked for.
type archived struct {
	unpacked
	member *pack.Member
	unpack func(*pack.Member) (physmem.Source, error)
}

// Name implements [physmem.Source].
func (a archived) Name() string { return path.Base(a.member.Name) }

// OpenSibling implements [physmem.Source].
func (a archived) OpenSibling(name string) (physmem.Source, error) {
	member, ok := a.member.Beside(name)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return a.unpack(member)
}
