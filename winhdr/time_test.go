package winhdr

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/winhdr/problem"
)

func TestTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		fileTime uint64
		want     time.Time
	}{
		// Microsoft's documentation gives this number for the Unix epoch
		// ("Converting a time_t value to a file time").
		{"Unix epoch", 116444736000000000, time.Unix(0, 0)},
		{"first", 1, time.Date(1601, 1, 1, 0, 0, 0, 100, time.UTC)},
		{"before 1970", 116444736000000000 - 1, time.Date(1969, 12, 31, 23, 59, 59, 999_999_900, time.UTC)},
		{"leap day", 133536836967890123, time.Date(2024, 2, 29, 12, 34, 56, 789_012_300, time.UTC)},
		{"last", 2650467743999999999, time.Date(9999, 12, 31, 23, 59, 59, 999_999_900, time.UTC)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Time(tt.fileTime)
			require.NoError(t, err)
			assert.Equal(t, tt.want.UTC(), got)
			_, err = json.Marshal(got)
			require.NoError(t, err)
		})
	}
}

func TestTimeRefuses(t *testing.T) {
	t.Parallel()
	for _, fileTime := range []uint64{0, 2650467744000000000, problem.Fill64, math.MaxInt64, 1 << 63, math.MaxUint64} {
		got, err := Time(fileTime)
		var timeErr *TimeError
		require.ErrorAs(t, err, &timeErr, "0x%x", fileTime)
		assert.True(t, got.IsZero())
	}
	_, err := Time(0)
	require.EqualError(t, err, "time FILETIME 0x0: want one after the start of 1601 and before 10000")
}
