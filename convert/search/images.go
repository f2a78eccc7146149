package search

import (
	"slices"
	"strings"

	"windmp/kdbg/peimage"
)

// The images of Windows' hypervisor and of what runs beside Windows above it
// (virtualization-based security), without their suffix.
var (
	hypervisors   = []string{"hvix64", "hvax64", "hvaa64", "hvloader"}
	secureKernels = []string{"securekernel", "securekernella57"}
)

// IsHypervisor tells whether an image is Windows' hypervisor, IsSecureKernel whether it
// is the secure kernel: by their names.
func IsHypervisor(im *peimage.Image) bool { return imageIs(im, hypervisors) }

// IsSecureKernel is said with IsHypervisor.
func IsSecureKernel(im *peimage.Image) bool { return imageIs(im, secureKernels) }

// imageIs tells whether an image has one of these names: that of its exports or of its
// symbols, without the suffix.
func imageIs(im *peimage.Image, names []string) bool {
	list := []string{im.Name}
	if im.PDB != nil {
		list = append(list, im.PDB.Name)
	}
	return slices.ContainsFunc(list, func(n string) bool {
		stem, _, _ := strings.Cut(strings.ToLower(n), ".")
		return slices.Contains(names, stem)
	})
}
