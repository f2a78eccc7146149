package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReadBuild(t *testing.T) {
	t.Parallel()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	recorded := func(version, modified string) *debug.BuildInfo {
		return &debug.BuildInfo{
			Main: debug.Module{Version: version},
			Settings: []debug.BuildSetting{
				{Key: "vcs.revision", Value: commit}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: modified},
			},
		}
	}
	for name, c := range map[string]struct {
		info                  *debug.BuildInfo
		version, commit, date string // of the linker
		want                  string
	}{
		"nothing known":           {nil, "", "", "", "devel ()"},
		"no repository":           {&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "", "", "", "devel ()"},
		"go install of a version": {&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "", "", "", "1.2.3 ()"},
		"go build at a tag":       {recorded("v1.2.3", "false"), "", "", "", "1.2.3 (commit 0123456789ab, 2026-01-02T03:04:05Z, )"},
		"go build after changes":  {recorded("v1.2.3+dirty", "true"), "", "", "", "1.2.3+dirty (commit 0123456789ab, modified, 2026-01-02T03:04:05Z, )"},
		"old go build":            {recorded("(devel)", "false"), "", "", "", "devel-0123456789ab (commit 0123456789ab, 2026-01-02T03:04:05Z, )"},
		"linker, no repository":   {nil, "1.3.0", "fedcba9876543210", "2026-05-06T07:08:09Z", "1.3.0 (commit fedcba987654, 2026-05-06T07:08:09Z, )"},
		"the linker goes first":   {recorded("v1.2.3", "false"), "1.3.0", "fedcba9876543210", "2026-05-06T07:08:09Z", "1.3.0 (commit fedcba987654, 2026-05-06T07:08:09Z, )"},
	} {
		b := readBuild(c.info, c.version, c.commit, c.date)
		assert.NotEmpty(t, b.Go, name)
		assert.Contains(t, b.Platform, "/", name)
		toolchain := b.Go + ", " + b.Platform
		got := b.String()
		assert.Equal(t, c.want, got[:len(got)-len(toolchain)-1]+")", name)
	}
}
