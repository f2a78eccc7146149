package peimage_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/internal/qemutest"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/physmem/open"
)

// TestDecoders: go-pe and the layouts that the browser's build has tell the same of every
// image of the samples, and so of images in part: of most the kernel's list names more
// than is in memory.
func TestDecoders(t *testing.T) {
	t.Parallel()
	images := 0
	for _, sample := range slices.Concat(qemutest.Samples(), qemutest.ImageSamples(), qemutest.ARM64Samples()) {
		t.Run(sample.Name, func(t *testing.T) { // which gives its buffers back
			core := sample.Core(t)
			im, err := open.Source(t.Context(), physmem.NewSource("", bytes.NewReader(core), int64(len(core))), open.Options{})
			require.NoError(t, err)
			g, err := guest.Find(t.Context(), im, guest.Options{})
			if err != nil {
				return
			}
			for _, m := range g.Modules() {
				decoded, layouts := peimage.Told(g.Memory().Space, m.Base, m.Size)
				assert.Equal(t, decoded, layouts, m.Name)
				images++
			}
		})
	}
	assert.Greater(t, images, 50)
}
