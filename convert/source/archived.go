package source

import (
	"io/fs"

	"windmp/internal/pack"
	"windmp/physmem"
)

// archived is what was unpacked of an archive: it has its name there, and the files
// beside it there for neighbours, which are unpacked when they are asked for.
type archived struct {
	unpacked
	member *pack.File
	unpack func(*pack.Member) (physmem.Source, error)
}

// Name implements [physmem.Source].
func (a archived) Name() string { return a.member.Name() }

// OpenSibling implements [physmem.Source].
func (a archived) OpenSibling(name string) (physmem.Source, error) {
	m, err := a.member.Member()
	if err != nil {
		return nil, err
	}
	beside, ok := m.Beside(name)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return a.unpack(beside)
}
