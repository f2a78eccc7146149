//go:build race

package convert_test

// underRace says that the race detector watches, which makes a test take ten times as
// long. Tests of thousands of sources, each on its own, then take some of them: all run
// without it.
const underRace = true
