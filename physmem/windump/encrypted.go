package windump

import (
	"errors"

	"windmp/physmem"
	"windmp/winhdr"
)

// refuseEncrypted takes the outcome of opening a dump of which the header says that
// Windows encrypted it. The header is plain; the bit alone is not believed, as
// debuggers do not look at it: what follows must be unreadable, or noise.
func (f *dmpFile) refuseEncrypted(c *physmem.Container, err error) error {
	if !f.attributes.Has(winhdr.AttributeEncrypted) || f.attributes.Has(winhdr.AttributeDecrypted) {
		return err
	}
	var format *physmem.FormatError
	if err == nil && !physmem.IsNoise(c.Memory) || err != nil && (!errors.As(err, &format) || format.Cut != nil) {
		return err
	}
	return &physmem.UnsupportedError{
		Format: physmem.FormatDMP, DumpHeader: f.raw, Encrypted: true,
		What: "an encrypted Windows crash dump: its header is plain, its memory is not",
		Hint: "decrypt it with KernelDumpDecrypt.exe of Microsoft's Debugging Tools and the key that it was encrypted for",
	}
}
