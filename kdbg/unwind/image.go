package unwind

import (
	"cmp"
	"slices"
	"sync"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// Image is an image whose code may be on a stack. What is read of it is kept, so one
// belongs to one address space; any number of goroutines may use it.
type Image struct {
	// Base and Size (bytes, SizeOfImage) say where it lies.
	Base vtop.VA
	Size uint32
	// Functions is where the loader says that the exception directory lies, zero where
	// that is not known. It is used where the image's own headers are not in memory.
	Functions Span

	once    sync.Once
	headers *peimage.Headers
	err     error
}

// Holds reports whether va lies in the image.
func (i *Image) Holds(va vtop.VA) bool { return va >= i.Base && uint64(va-i.Base) < uint64(i.Size) }

// Headers are the image's, read once. The error is that of [peimage.ReadHeaders].
func (i *Image) Headers(s *vtop.Space, f peimage.Format) (*peimage.Headers, error) {
	i.once.Do(func() { i.headers, i.err = peimage.ReadHeaders(s, i.Base, f) })
	return i.headers, i.err
}

// List are images by address. It is an [Images].
type List struct{ images []*Image }

// NewList returns a list of images in any order. Of images that overlap At finds the
// one that begins nearest below the address.
func NewList(images []*Image) *List {
	l := &List{images: slices.Clone(images)}
	slices.SortStableFunc(l.images, func(a, b *Image) int { return cmp.Compare(a.Base, b.Base) })
	return l
}

// At returns the image in which an address lies.
func (l *List) At(pc vtop.VA) (*Image, bool) {
	i, found := slices.BinarySearchFunc(l.images, pc, func(im *Image, va vtop.VA) int { return cmp.Compare(im.Base, va) })
	if !found {
		i--
	}
	if i < 0 || !l.images[i].Holds(pc) {
		return nil, false
	}
	return l.images[i], true
}
