package rules

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What a room and a file may have at most: more can't be taken in at once.
const (
	maxFiles     = 25
	maxRoomLines = 3000
	maxFileLines = 500
)

// Rooms and files stay small. What is too large has a seam, and is cut there.
func TestRoomsAreSmall(t *testing.T) {
	count, lines := map[string]int{}, map[string]int{}
	for _, f := range files(t) {
		n := positions.File(f.syntax.Pos()).LineCount()
		count[f.dir]++
		lines[f.dir] += n
		assert.LessOrEqual(t, n, maxFileLines, "lines of %s", f.path)
	}
	for dir := range count {
		assert.LessOrEqual(t, count[dir], maxFiles, "files of %s", dir)
		assert.LessOrEqual(t, lines[dir], maxRoomLines, "lines of %s", dir)
	}
}
