package open

import (
	"bytes"

	"windmp/internal/binio"
	"windmp/physmem"
)

// firstSize is how much of a file's beginning is looked at for what it begins like:
// farther in, memory may hold anything.
const firstSize = 0x200

// hintMemory is the way with a file that looks like nothing but memory: a PC with UEFI
// may have anything at address 0.
const hintMemory = physmem.HintRaw + "; an ELF dump of the guest also has its registers"

// unrecognised returns the error for a file that no opener wanted. If a format was given,
// the others were not asked.
func unrecognised(src physmem.Source, given physmem.Format, tried []physmem.Refusal) error {
	if src.Size() <= 0 {
		return &physmem.UnknownFormatError{Looks: physmem.LooksEmpty, Hint: "the dump was not written; look for the error where it was made", Tried: tried}
	}
	b, err := physmem.Head(src, sniffSize)
	if err != nil {
		return err
	}
	if s, ok := signatureOf(&probe{head: b, src: src}); ok {
		return &physmem.UnsupportedError{What: s.what, Hint: s.hint}
	}
	e := &physmem.UnknownFormatError{Hint: hintMemory, Tried: tried}
	if what := ownBeginning(b); given != "" && what != "" {
		e.Hint = "the file begins like " + what + ": " + physmem.HintNoFormat
		return e
	}
	switch first := b[:min(len(b), firstSize)]; {
	case binio.IsZero(first):
		e.Looks = "zeros, or raw memory"
	case binio.IsText(first):
		e.Looks, e.Hint = "text", ""
	case hasInterruptTable(b):
		e.Looks = "raw memory: it begins with the interrupt table of a BIOS"
	case binio.IsNoise(b):
		e.Looks = "noise: encrypted or compressed data, or memory of an encrypted guest (SEV, TDX)"
		e.Hint = "decrypt or unpack it first; an encrypted guest's memory only the guest can read: have Windows write the dump"
	}
	return e
}

// signatureOf returns the signature that a file has.
func signatureOf(p *probe) (signature, bool) {
	for _, s := range signatures {
		if s.at(p.head) && (s.fits == nil || s.fits(p)) {
			return s, true
		}
	}
	return signature{}, false
}

// at reports whether a file that begins with head has the signature's bytes.
func (s *signature) at(head []byte) bool {
	return s.offset <= len(head) && bytes.HasPrefix(head[s.offset:], []byte(s.bytes))
}

// looksLike returns what a file that is said to be raw memory begins like, empty
// for nothing that is known. A bad sector there speaks for nothing: it costs the memory
// in it, as any other does.
func looksLike(src physmem.Source) (string, error) {
	b, err := physmem.Head(src, firstSize)
	if _, refused := physmem.RefusedRead(err); refused {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	// Two bytes are in memory by chance.
	if s, ok := signatureOf(&probe{head: b, src: src}); ok && len(s.bytes) > 2 {
		return s.what, nil
	}
	return ownBeginning(b), nil
}

// ownBeginning is what that is read here a file begins like, empty for nothing.
func ownBeginning(head []byte) string {
	for _, s := range ownSignatures {
		if s.at(head) {
			return s.what
		}
	}
	return ""
}
