package guest

import (
	"windmp/convert/finding"
	"windmp/internal/binio"
	"windmp/physmem"
)

// recoverMemory gives the image the header's runs as proof of what is RAM, so
// that it can place memory that the file holds and no PT_LOAD names.
func (g *finder) recoverMemory() {
	ram := make([]physmem.Range, 0, len(g.Runs))
	for _, r := range g.Runs {
		ram = append(ram, r.Range())
	}
	placed, guessed := g.Proved(g.machine, ram)
	if n := physmem.TotalSize(placed); n > 0 {
		g.Add(finding.Recovered.At(finding.Ranges(placed), "%s of guest memory lie in the file outside its PT_LOADs and were placed by the file's layout", binio.Bytes(n)))
	}
	if n := physmem.TotalSize(guessed); n > 0 {
		g.Add(finding.RecoveredVGA.At(finding.Ranges(guessed),
			"%s below the VGA hole are in no PT_LOAD and were placed by the layout of a PC: the file has room for exactly them and a hole of 128 KiB", binio.Bytes(n)))
	}
}
