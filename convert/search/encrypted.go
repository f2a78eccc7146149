package search

import "windmp/convert/finding"

// encrypted: a confidential guest's memory is noise throughout, whatever its vCPUs,
// whose registers may be hidden too, seem to do.
func (d *discovery) encrypted() (finding.Finding, bool) {
	if !d.view.Image.IsNoise() {
		return finding.Finding{}, false
	}
	return finding.EncryptedMemory.At("", "the memory is noise throughout: it is that of an encrypted guest (SEV, TDX), or the file is encrypted"), true
}
