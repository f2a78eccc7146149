// Package vcpu decodes the sections of processors in migration streams.
package vcpu

import "windmp/physmem"

// State is what the section of a processor says.
type State interface {
	// Registers returns the registers. first is what that of the stream's first processor says.
	Registers(first State) physmem.Registers
}

// forms are the sections that are known, by their versions.
var forms = []struct {
	oldest, newest uint32
	decode         func(b []byte) State // nil for another layout
}{{cpuVersionOld, cpuVersion, decodeX86}, {cpuVersionARM64, cpuVersionARM64, decodeARM64}}

// Decode decodes the data of a section; nil if it is of no layout that is known.
func Decode(version uint32, b []byte) State {
	for _, f := range forms {
		if version >= f.oldest && version <= f.newest {
			return f.decode(b)
		}
	}
	return nil
}
