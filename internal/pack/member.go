package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"windmp/physmem"
	"windmp/physmem/open"
)

// What is remembered of the names in an archive: an archive of a machine's files has some
// tens of them.
const (
	maxMembers    = 4096
	maxMemberName = 1024 // bytes
)

// A Member is a file in an archive, and knows the files beside it.
type Member struct {
	// Name is that in the archive, with its folder.
	Name string
	all  []string // of all members, as far as they are remembered
}

// Beside returns the file of that name in the same folder of the archive, if it is one of
// the first 4096.
func (m *Member) Beside(name string) (*Member, bool) {
	if name != path.Base(name) {
		return nil, false
	}
	want := path.Join(path.Dir(m.Name), name)
	i := slices.IndexFunc(m.all, func(s string) bool { return path.Clean(s) == want })
	if i < 0 {
		return nil, false
	}
	return &Member{m.all[i], m.all}, true
}

// Unpack unpacks all of the member, whatever it holds: how and r are of the archive. The
// error is fs.ErrNotExist if it is not there, or one of the function Unpack.
func (m *Member) Unpack(ctx context.Context, how Method, r *io.SectionReader, opt Options) (*File, error) {
	c, err := newContents(how, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", how, early(err))
	}
	defer c.close()
	for {
		x, err := c.next()
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil, &fs.PathError{Op: "open", Path: m.Name, Err: fs.ErrNotExist}
		case err != nil:
			return nil, fmt.Errorf("%s: %w", how, asCut(err))
		case x.name != m.Name:
			continue
		}
		f, err := newFile(&opt, m.Name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", how, err)
		}
		f.all = m.all
		f.begin(ctx, func(ctx context.Context) error { return f.fill(ctx, x.r, &opt) })
		if err := f.Wait(); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", how, asCut(err)), f.Close())
		}
		return f, nil
	}
}

// A ByNameError says that an archive has no member that is a memory image by what it
// begins with, and one that may be one by its name, or with the files beside it.
type ByNameError struct{ Member *Member }

func (e *ByNameError) Error() string {
	return quote(e.Member.Name) + " is a memory image by its name alone"
}

// byName notes a member that only its name, or a neighbour, makes a memory image.
func (p *picker) byName(ctx context.Context, name string, head []byte) {
	if name == "" || open.Beginning(ctx, head, nameless{path.Base(name)}, p.opt.Input) != nil {
		return
	}
	switch first := p.named; {
	case first == "":
		p.named = name
	case strings.TrimSuffix(first, path.Ext(first)) != strings.TrimSuffix(name, path.Ext(name)):
		p.several = true
	}
}

// nameless is a source that has nothing but a name: what it holds and its neighbours are
// not known yet.
type nameless struct{ name string }

// ReadAt implements io.ReaderAt.
func (nameless) ReadAt([]byte, int64) (int, error) { return 0, fs.ErrInvalid }

// Size implements [physmem.Source].
func (nameless) Size() int64 { return 0 }

// Name implements [physmem.Source].
func (n nameless) Name() string { return n.name }

// OpenSibling implements [physmem.Source].
func (nameless) OpenSibling(string) (physmem.Source, error) { return nil, open.ErrBeyond }
