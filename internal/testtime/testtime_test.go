package testtime_test

import (
	"testing"
	"time"

	"windmp/internal/testtime"
)

func TestLimit(t *testing.T) {
	for scale, want := range map[string]time.Duration{"": time.Minute, "3": 3 * time.Minute, "0": time.Minute, "x": time.Minute, "-1": time.Minute} {
		t.Setenv("WINDMP_TIME_SCALE", scale)
		if got := testtime.Limit(time.Minute); got != want {
			t.Errorf("scaled by %q: %v, want %v", scale, got, want)
		}
	}
}
