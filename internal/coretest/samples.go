package coretest

import (
	"os"
	"path/filepath"
	"testing"

	"windmp/internal/testheap"
)

// samplesVariable names the folder with files of real producers. They are not in the
// repository.
const samplesVariable = "WINDMP_SAMPLES"

// Samples is the folder with files of real producers. Without it the test says that it
// did not run.
func Samples(tb testing.TB) string {
	tb.Helper()
	folder := os.Getenv(samplesVariable)
	if folder == "" {
		tb.Skipf("DID NOT RUN: %s names no folder with files of real producers", samplesVariable)
	}
	return folder
}

// Sample reads one of them, and unpacks what ends in .gz. Without the folder the test
// says that it did not run.
func Sample(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := testheap.File(tb, filepath.Join(Samples(tb), name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
