package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"windmp/convert/report"
)

// versionSchema names the JSON document of windmp version.
const versionSchema = "windmp/version/v1"

// What a release's linker is told with -X. They go before what the go command
// records by itself, which a build from a source archive does not have.
var (
	buildVersion string // without the v of the tag
	buildCommit  string // whole
	buildDate    string // of the commit, RFC 3339
)

// shortCommit is how many digits of a commit are shown to people.
const shortCommit = 12

// buildInfo is what a binary knows of its making.
type buildInfo struct {
	// Version, or devel where the build was told none.
	Version string `json:"-"`
	// Commit is the one that it was built from, empty if unknown.
	Commit string `json:"commit"`
	// Date is that of the commit, RFC 3339, empty if unknown.
	Date string `json:"date"`
	// Modified is true if the source differed from the commit's.
	Modified bool `json:"modified"`
	// Go is the version of the Go toolchain.
	Go string `json:"go"`
	// Platform is operating system and architecture, as Go names them.
	Platform string `json:"platform"`
}

// thisBuild is read once: nothing in it changes.
var thisBuild = sync.OnceValue(func() buildInfo {
	info, _ := debug.ReadBuildInfo()
	return readBuild(info, buildVersion, buildCommit, buildDate)
})

// readBuild joins what the linker was told with what the go command recorded;
// info is nil if it recorded nothing.
func readBuild(info *debug.BuildInfo, version, commit, date string) buildInfo {
	b := buildInfo{Version: version, Commit: commit, Date: date, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info != nil {
		b.fill(info)
	}
	if b.Version == "" {
		b.Version = "devel"
		if len(b.Commit) >= shortCommit {
			b.Version += "-" + b.Commit[:shortCommit]
		}
	}
	return b
}

// fill takes what is not known yet.
func (b *buildInfo) fill(info *debug.BuildInfo) {
	if v := info.Main.Version; b.Version == "" && v != "(devel)" {
		b.Version = strings.TrimPrefix(v, "v")
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && b.Commit == "":
			b.Commit = s.Value
		case s.Key == "vcs.time" && b.Date == "":
			b.Date = s.Value
		case s.Key == "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
}

// String is the build in one line.
func (b buildInfo) String() string {
	parts := make([]string, 0, 4)
	if len(b.Commit) >= shortCommit {
		commit := "commit " + b.Commit[:shortCommit]
		if b.Modified {
			commit += ", modified"
		}
		parts = append(parts, commit)
	}
	if b.Date != "" {
		parts = append(parts, b.Date)
	}
	parts = append(parts, b.Go, b.Platform)
	return fmt.Sprintf("%s (%s)", b.Version, strings.Join(parts, ", "))
}

// version is the version alone, for the JSON documents.
func version() string { return thisBuild().Version }

type versionDocument struct {
	header
	buildInfo
	Error *report.Error `json:"error,omitempty"` // Error is that of a usage error.
}

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Version prints the version, the commit that windmp was built from, that commit's
date, and the Go toolchain.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return a.emit(versionDocument{header: newHeader(versionSchema, nil), buildInfo: thisBuild()}, nil)
			}
			return a.printVersion()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document on standard output, on failure too")
	return cmd
}

// printVersion prints the build in one line.
func (a *app) printVersion() error {
	_, err := fmt.Fprintf(a.stdout, "windmp %s\n", thisBuild())
	return err
}
