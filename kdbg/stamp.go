package kdbg

import (
	"encoding/binary"

	"windmp/kdbg/peimage"
)

// ModuleStamp returns TimeDateStamp and CheckSum of a loaded image, by its headers in
// memory. Where these are paged out it is what the loader noted of them, of Windows of
// that build: 0 for what that does not say.
func (m Memory) ModuleStamp(mod *Module, build uint32) (timestamp, checkSum uint32) {
	if timestamp, checkSum, err := peimage.Stamp(m.Space, mod.Base, m.Layout.Image); err == nil {
		return timestamp, checkSum
	}
	o := &m.Layout.Loader
	note := func(at int) uint32 {
		b, err := m.read(mod.Entry+m.Layout.bytes(at), 4)
		if at == 0 || err != nil {
			return 0
		}
		return binary.LittleEndian.Uint32(b)
	}
	if build >= o.StampSince {
		timestamp = note(o.TimeDateStamp)
	}
	return timestamp, note(o.CheckSum)
}
