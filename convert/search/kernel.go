package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/kdbg"
	"windmp/kdbg/locate"
	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// kernelAt is the kernel's image around one of the addresses.
func (d *discovery) kernelAt(mem kdbg.Memory, hints []vtop.VA) (*peimage.Image, error) {
	err := errors.New("no address of the kernel is known")
	for _, va := range hints {
		if !mem.IsKernel(va) {
			continue
		}
		var image *peimage.Image
		image, err = mem.FindImage(va)
		switch {
		case err != nil:
		case IsKernel(mem, image):
			return image, nil
		default:
			d.evidence.image(image)
			err = fmt.Errorf("the image at %s is %s, not the kernel", image.Base, ImageName(image))
		}
	}
	return nil, err
}

// IsKernel knows the kernel by the name that it exports, or by its symbols where the
// export directory is not in memory; and by what only the kernel exports, as it may
// have any name.
func IsKernel(mem kdbg.Memory, im *peimage.Image) bool {
	if im.NameErr != nil {
		return im.PDB != nil && strings.HasPrefix(strings.ToLower(im.PDB.Name), "ntk")
	}
	if strings.EqualFold(im.Name, kdbg.KernelName) {
		return true
	}
	_, err := im.Export(mem.Space, kdbg.InitialProcess)
	return err == nil
}

// ImageName is an image's name for a sentence.
func ImageName(im *peimage.Image) string {
	switch {
	case im.Name != "":
		return finding.Quote(im.Name)
	case im.PDB != nil:
		return finding.Quote(im.PDB.Name)
	default:
		return "without a name"
	}
}

// blockIn looks for the debugger data block in a kernel's image.
func (d *discovery) blockIn(m *machine.Machine, mem kdbg.Memory, image *peimage.Image, via string) bool {
	d.evidence.kernel = image
	if d.scans++; d.scans > maxImageScans {
		return false
	}
	kernel, err := locate.InImage(d.ctx, mem, image)
	if err != nil {
		d.attempt("%s %#x, kernel at %s: %v", via, uint64(mem.Space.DTB), image.Base, err)
		return false
	}
	d.take(m, image, kernel, report.KDBGImage, via)
	return true
}

// blockNear looks for the debugger data block around addresses in the kernel's image,
// where that can't be told by its headers: they are wiped, or somebody renamed it.
func (d *discovery) blockNear(m *machine.Machine, mem kdbg.Memory, hints []vtop.VA, via string) bool {
	var looked []vtop.VA
	for _, va := range hints {
		// A search goes as far as an image can, to either side.
		near := func(at vtop.VA) bool { return max(at, va)-min(at, va) < peimage.MaxSize/2 }
		if !mem.IsKernel(va) || slices.ContainsFunc(looked, near) {
			continue
		}
		looked = append(looked, va)
		if d.scans++; d.scans > maxImageScans {
			return false
		}
		kernel, err := locate.Near(d.ctx, mem, va)
		if err != nil {
			d.attempt("%s %#x: %v", via, uint64(mem.Space.DTB), err)
			continue
		}
		image, _ := mem.ReadImage(vtop.VA(kernel.Data.KernBase))
		d.take(m, image, kernel, report.KDBGImage, via)
		return true
	}
	return false
}

// KernelIdentity is what the image says of itself: name, file version, and the
// key of its symbols.
func KernelIdentity(im *peimage.Image) string {
	if im == nil {
		return "(its headers are not readable)"
	}
	text := ImageName(im)
	if im.FileVersion != "" {
		text += " " + im.FileVersion
	}
	if im.PDB != nil {
		text += fmt.Sprintf(" (symbols %s %s%X)", finding.Quote(im.PDB.Name), im.PDB.GUID, im.PDB.Age)
	}
	return text
}
