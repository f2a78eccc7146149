package pack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
		c.kind, c.next = Tar, tarMembers(tar.NewReader(b))
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
func tarMembers(t *tar.Reader) func() (*member, error) {
	return func() (*member, error) {
		for {
			h, err := t.Next()
			switch {
			case errors.Is(err, io.EOF):
				return nil, io.EOF
			case err != nil:
				return nil, fmt.Errorf("tar: %w", err)
			case h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeGNUSparse:
				return &member{name: h.Name, size: h.Size, r: t}, nil
			}
		}
	}
}

// A picker unpacks the one member that is a memory image.
type picker struct {
	opt *Options
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

// pick unpacks the one member that is a memory image.
func (p *picker) pick(ctx context.Context, c *contents) (f *File, err error) {
	defer func() {
		if err != nil && f != nil {
			f, err = nil, errors.Join(err, f.Close())
		}
	}()
	taken := ""
	defer func() {
		if f != nil && taken != "" {
			f.Member = &Member{taken, p.all}
		}
	}()
	for {
		m, err := c.next()
		switch {
		case ctx.Err() != nil:
			return f, context.Cause(ctx)
		case errors.Is(err, io.EOF) && f == nil:
			return nil, p.nothing(c.kind)
		case err != nil && f != nil:
			return f, nil //nolint:nilerr // the end, or what is damaged behind a member that is whole
		case err != nil:
			return nil, err
		}
		if m.name != "" && len(p.all) < maxMembers && len(m.name) <= maxMemberName {
			p.all = append(p.all, m.name)
		}
		b := bufio.NewReaderSize(m.r, open.BeginningSize)
		why, err := p.refuse(ctx, m, b)
		switch {
		case err != nil && f != nil:
			return f, nil //nolint:nilerr // likewise
		case err != nil:
			return nil, err
		case why != nil:
			p.leave(m, why)
			continue
		case f != nil:
			return f, &physmem.UnsupportedError{
				What: fmt.Sprintf("a %s archive of several memory images, %s and %s", c.kind, quote(taken), quote(m.name)),
				Hint: "unpack the one that is meant",
			}
		}
		if f, err = newFile(ctx, b, p.opt); err != nil {
			return nil, err
		}
		taken = m.name
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
func (p *picker) nothing(kind Method) error {
	switch {
	case kind == None:
		return p.why
	case p.named != "" && !p.several:
		return &ByNameError{&Member{p.named, p.all}}
	}
	what := fmt.Sprintf("a %s archive without a memory image that is known", kind)
	switch more := p.refused - len(p.names); {
	case p.refused == 0:
		return &physmem.UnsupportedError{What: what + "; it is empty"}
	case p.refused == 1:
		return fmt.Errorf("%s in the %s archive: %w", p.names[0], kind, p.why)
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
