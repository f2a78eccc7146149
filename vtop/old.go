package vtop

import (
	"context"
	"io"

	"windmp/physmem"
)

// What is left here goes away when its callers use the modes.

// Range is [physmem.Range].
//
// Deprecated: use that.
type Range = physmem.Range

// ModePAE is [PAE], ModeLegacy [X86].
//
// Deprecated: use these.
var ModePAE, ModeLegacy = PAE, X86

// ModeOf is the mode with so many levels.
//
// Deprecated: use the modes.
func ModeOf(levels int) *Mode {
	for _, m := range []*Mode{X86, PAE, LA57} {
		if len(m.Levels) == levels {
			return m
		}
	}
	return X64
}

// NewSpace32 is NewSpace with [PAE] or [X86].
//
// Deprecated: use that.
func NewSpace32(mem io.ReaderAt, dtb uint64, pae bool) *Space {
	if pae {
		return NewSpace(mem, dtb, PAE)
	}
	return NewSpace(mem, dtb, X86)
}

// Roots is [FindRoots] for x64.
//
// Deprecated: use that.
func Roots(ctx context.Context, mem io.ReaderAt, ranges []Range, must []VA, visit func(Root) bool) error {
	return FindRoots(ctx, mem, ranges, []*Mode{X64, LA57}, must, visit)
}

// Roots32 is [FindRoots] for x86.
//
// Deprecated: use that.
func Roots32(ctx context.Context, mem io.ReaderAt, ranges []Range, visit func(Root) bool) error {
	return FindRoots(ctx, mem, ranges, []*Mode{X86, PAE}, nil, visit)
}

// Present is bit 0 (P).
//
// Deprecated: use [Mode.Flags].
func (e Entry) Present() bool { return X64.present(e) }

// Large is bit 7 (PS).
//
// Deprecated: use [Mode.Flags].
func (e Entry) Large() bool { return e&bitPS != 0 }

// NX is bit 63.
//
// Deprecated: use [Mode.Flags].
func (e Entry) NX() bool { return e&bitNX != 0 }

// Prototype is a form of absent entries.
//
// Deprecated: use [Mode.Flags].
func (e Entry) Prototype() bool { return X64.Absent.Prototype.has(e) }

// Transition is a form of absent entries.
//
// Deprecated: use [Mode.Flags].
func (e Entry) Transition() bool { return X64.Absent.Transition.has(e) }

// Pagefile is a form of absent entries.
//
// Deprecated: use [Mode.Flags].
func (e Entry) Pagefile() bool { return !e.Present() && X64.absent(e) == Pagefile }
