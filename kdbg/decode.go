package kdbg

import (
	"encoding/binary"

	"windmp/kdbg/peimage"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

// Decode reads and verifies an encoded block, without the keys.
//
// See [wire.Code]. The block is then verified as a plain one is.
//
// Errors: [BlockError], which is [ErrNotFound] for a plain block too, or a
// *vtop.FaultError wrapped.
func (m Memory) Decode(va vtop.VA, e Expect) (*Kernel, error) {
	head, err := m.readBlock(va, wire.MinSize)
	if err != nil {
		return nil, err
	}
	tag := binary.LittleEndian.Uint64(head[wire.OffOwnerTag:])
	size := binary.LittleEndian.Uint64(head[wire.OffMmPageSize:])
	code, ok := wire.Solve(tag, size)
	if !ok {
		return nil, notEncoded(va, tag, size)
	}
	raw, err := m.readBlock(va, wire.SizeOf(code.Word(tag)))
	if err != nil {
		return nil, err
	}
	code.Decode(raw)
	return m.verified(&Block{
		VA: va, Raw: raw, Data: m.Layout.data(raw),
		Encoded: true, Rotation: uint(code.Rotation), Constant: code.Constant,
	}, e)
}

// EncodedFlag returns the address of KdpDataBlockEncoded, the byte that tells Windows
// that the block is encoded, which it must be; im is the kernel's image. Errors are
// those of [wire.Code.Flag].
func (k *Kernel) EncodedFlag(im *peimage.Image) (vtop.VA, error) {
	return wire.Code{Rotation: int(k.Rotation), Constant: k.Constant}.Flag(k.Space, im)
}
