package binio_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"windmp/internal/binio"
)

// TestForPeople: sizes and times are one everywhere, and no text reaches further than its
// line.
func TestForPeople(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "1.1 MiB", binio.Bytes(1<<20+100_000))
	assert.Equal(t, "0 B", binio.Bytes(int64(-1)))
	assert.Equal(t, `Büro "C:\x" \x1b[2J\n\u202e`, binio.Visible("Büro \"C:\\x\" \x1b[2J\n\u202e"))
	east := time.FixedZone("", 3600)
	assert.Equal(t, "2021-09-11 04:00:09 UTC", binio.Moment(time.Date(2021, 9, 11, 5, 0, 9, 7, east)))
	assert.Equal(t, "2021-09-11 04:00:09 UTC", binio.MomentOf("2021-09-11T05:00:09+01:00"))
	for seconds, said := range map[float64]string{0: "0 s", 59.9: "59 s", 7200: "2 h", 7265: "2 h 1 min", 90061: "1 d 1 h", (1 << 63) / 1e7 * 2: "21350398 d 5 h"} {
		assert.Equal(t, said, binio.Span(seconds))
	}
	assert.Equal(t, "yesterday", binio.MomentOf("yesterday"))
}
