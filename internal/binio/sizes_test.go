package binio

import (
	"strings"
	"testing"

	"github.com/dustin/go-humanize"
	"github.com/stretchr/testify/assert"
)

// TestPlainSizes: the browser's build writes and reads sizes as the others do.
func TestPlainSizes(t *testing.T) {
	t.Parallel()
	sizes := []uint64{0, 1, 9, 10, 99, 999, 1023, 1<<63 + 1<<62}
	for power := 10; power < 64; power += 10 {
		for _, part := range []float64{1, 1.04, 1.05, 1.06, 1.95, 9.94, 9.95, 9.96, 10, 10.4, 10.5, 99.5, 999.6, 1023} {
			if v := part * float64(uint64(1)<<power); v < 1<<64 {
				sizes = append(sizes, uint64(v), uint64(v)-1, uint64(v)+1)
			}
		}
	}
	for _, n := range sizes {
		if n+1 != 1<<50 && n+1 != 1<<60 { // which are less than 1.0 of a unit: go-humanize rounds a logarithm
			assert.Equal(t, humanize.IBytes(n), plainSize(n))
		}
	}
	assert.Equal(t, "1.0 EiB", plainSize(1<<60))
	assert.Equal(t, "16 EiB", plainSize(^uint64(0)))

	for _, number := range []string{"", "0", "1", "9", "1.5", ".5", "1.", ".", "1.2.3", "1,000", ",", "12345678901", "4611686018427387903", "4611686018427387904", "18446744073709551616", "-1", "+1", "1e3", "0x10", "٣", " 1"} {
		for _, unit := range []string{"", "B", "I", "IB", "BB", "X", "KM", "KX", "I B", "KI B", "KMG", "K", "M", "G", "T", "P", "E"} {
			for _, end := range []string{"", "b", "i", "iB", "ib", "Ib", " ", "ii"} {
				for _, s := range []string{number + unit + end, number + " " + strings.ToLower(unit) + end + " "} {
					want, err := humanize.ParseBytes(s)
					n, ok := parseSize(s)
					if assert.Equal(t, err == nil, ok, s) && ok {
						assert.Equal(t, want, n, s)
					}
				}
			}
		}
	}
}
