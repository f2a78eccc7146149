package pack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"windmp/physmem"
	"windmp/physmem/open"
)

// A member is what a packed file holds, or one of several.
type member struct {
	name string // empty for a stream, which has none
	size int64  // bytes, as the archive says; -1 for a stream
	r    io.Reader
}

// contents go through a packed file, once.
type contents struct {
	// next returns io.EOF behind the last member.
	next  func() (*member, error)
	close func()
	// kind is that of the archive; empty for a stream.
	kind Method
	// passed are the entries of the archive so far that are no files.
	passed passedBy
}

// newContents begins to unpack a file.
func newContents(how Method, r *io.SectionReader) (*contents, error) {
	if how == Zip {
		return newZipContents(r)
	}
	s, err := newStream(how, r)
	if err != nil {
		return nil, err
	}
	c := &contents{close: func() { _ = s.Close() }} // only read
	b := bufio.NewReaderSize(s, open.BeginningSize)
	head, err := b.Peek(tarBlock)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		c.close()
		return nil, err
	case isTar(head):
		c.kind, c.next = Tar, c.tarMembers(tar.NewReader(b))
		return c, nil
	}
	given := false
	c.next = func() (*member, error) {
		if given {
			return nil, io.EOF
		}
		given = true
		return &member{size: -1, r: b}, nil
	}
	return c, nil
}

// isTar reports whether a file begins like a tar.
func isTar(head []byte) bool {
	return len(head) > tarMagicOffset && bytes.HasPrefix(head[tarMagicOffset:], magicTar)
}

// tarMembers goes through the files of a tar.
func (c *contents) tarMembers(t *tar.Reader) func() (*member, error) {
	return func() (*member, error) {
		for {
			h, err := t.Next()
			switch {
			case errors.Is(err, io.EOF):
				return nil, io.EOF
			case err != nil:
				return nil, fmt.Errorf("tar: %w", err)
			case h.Typeflag == tar.TypeXGlobalHeader: // no entry, but of all of them
			case !c.passed.add(tarMode(h), h.Name, h.Linkname):
				return &member{name: h.Name, size: h.Size, r: t}, nil
			}
		}
	}
}

// tarMode tells what kind of entry a header is of. To another entry, too, a link is one:
// what has two names is packed once.
func tarMode(h *tar.Header) fs.FileMode {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return 0
	case tar.TypeDir:
		return fs.ModeDir
	case tar.TypeSymlink, tar.TypeLink:
		return fs.ModeSymlink
	default:
		return fs.ModeIrregular
	}
}

// A picker unpacks the one member that is a memory image.
type picker struct {
	opt *Options
	// taken is what is unpacked of that member.
	taken io.Reader
	// refused is how many members are none; names are those of the first of them,
	// and why is what there is to say of the last.
	refused int
	names   []string
	why     error
	// all are the names of all members, as far as they are remembered.
	all []string
	// named is the first member that only its name makes a memory image, and several
	// says that another one has another name.
	named   string
	several bool
}

// maxNames bounds the members that an error names.
const maxNames = 5

// first goes to the first member that is a memory image, and makes a file for it.
func (p *picker) first(ctx context.Context, c *contents) (*File, error) {
	m, b, err := p.next(ctx, c)
	switch {
	case errors.Is(err, io.EOF):
		return nil, p.nothing(c)
	case err != nil:
		return nil, err
	}
	p.taken = b
	return newFile(p.opt, m.name)
}

// finish unpacks the first member into its file, and looks whether there is another one.
// What is damaged behind a member that is whole does not matter.
func (p *picker) finish(ctx context.Context, c *contents, f *File) error {
	if err := f.fill(ctx, p.taken, p.opt); err != nil {
		return err
	}
	m, _, err := p.next(ctx, c)
	f.all = p.all
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return nil //nolint:nilerr // the end, or damage
	}
	return &physmem.UnsupportedError{
		What: fmt.Sprintf("a %s archive of several memory images, %s and %s", c.kind, quote(f.member), quote(m.name)),
		Hint: "unpack the one that is meant",
	}
}

// next goes to the next member that is a memory image; io.EOF behind the last one.
func (p *picker) next(ctx context.Context, c *contents) (*member, *bufio.Reader, error) {
	for {
		m, err := c.next()
		switch {
		case ctx.Err() != nil:
			return nil, nil, context.Cause(ctx)
		case err != nil:
			return nil, nil, err
		}
		if m.name != "" && len(p.all) < maxMembers && len(m.name) <= maxMemberName {
			p.all = append(p.all, m.name)
		}
		b := bufio.NewReaderSize(m.r, open.BeginningSize)
		why, err := p.refuse(ctx, m, b)
		switch {
		case err != nil:
			return nil, nil, err
		case why == nil:
			return m, b, nil
		}
		p.leave(m, why)
	}
}

// refuse says why a member is no memory image; err is that of unpacking it.
func (p *picker) refuse(ctx context.Context, m *member, b *bufio.Reader) (why, err error) {
	if p.opt.Input.Format == physmem.FormatRaw {
		if m.size >= 0 && m.size < leastCore {
			return fmt.Errorf("smaller than %#x bytes", leastCore), nil
		}
		return nil, nil
	}
	head, err := b.Peek(open.BeginningSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	why = open.Beginning(ctx, head, p.opt.Beside, p.opt.Input)
	if why != nil {
		p.byName(ctx, m.name, head)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return why, nil
}

// leave notes a member that is no memory image.
func (p *picker) leave(m *member, why error) {
	p.refused, p.why = p.refused+1, why
	if len(p.names) < maxNames {
		p.names = append(p.names, quote(m.name))
	}
}

// nothing says what a file holds that has no memory image.
func (p *picker) nothing(c *contents) error {
	switch {
	case c.kind == None:
		return p.why
	case p.named != "" && !p.several:
		return &ByNameError{&Member{p.named, p.all}}
	}
	what := fmt.Sprintf("a %s archive without a memory image that is known", c.kind)
	switch more := p.refused - len(p.names); {
	case p.refused == 0:
		said, hint := c.passed.what()
		return &physmem.UnsupportedError{What: what + "; " + said, Hint: hint}
	case p.refused == 1:
		return fmt.Errorf("%s in the %s archive: %w", p.names[0], c.kind, p.why)
	case more > 0:
		what += fmt.Sprintf("; it holds %s and %d more", strings.Join(p.names, ", "), more)
	default:
		what += "; it holds " + strings.Join(p.names, ", ")
	}
	return &physmem.UnsupportedError{What: what, Hint: "Raw memory is read if raw is given as its format"}
}

// quote is a member's name without control characters, and not too long.
func quote(name string) string {
	const most = 80
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strconv.QuoteToGraphic(name)
}
