// Package heading groups the flags of a command under headings, for its help and its man
// page: what matters first comes first.
package heading

import (
	"slices"

	"github.com/spf13/pflag"
)

// A Heading is a line above flags that belong together.
type Heading string

// The headings, in the order in which they are listed.
const (
	// Own is above what only this command has.
	Own Heading = "Flags"
	// Dump is above what a dump holds.
	Dump Heading = "What the dump holds"
	// Writing is above how it is written.
	Writing Heading = "How it is written"
	// Printing is above what is said, where and in which form.
	Printing Heading = "What is printed"
	// File is above what an image does not say of itself.
	File Heading = "What the file does not say"
	// URL is above what a server wants.
	URL Heading = "A file behind a URL"
	// Limits is above what a look may cost.
	Limits Heading = "Limits of the look"
)

var order = []Heading{Own, Dump, Writing, Printing, File, URL, Limits}

// annotation is the key of a flag's heading.
const annotation = "windmp_heading"

// Put puts the flags that register adds under a heading, and has all flags listed in the
// order in which they were added. Those that nobody puts under one are the command's own.
func (h Heading) Put(fs *pflag.FlagSet, register func(fs *pflag.FlagSet)) {
	fs.SortFlags = false
	others := 0
	fs.VisitAll(func(*pflag.Flag) { others++ })
	register(fs)
	fs.VisitAll(func(f *pflag.Flag) {
		if others--; others < 0 {
			f.Annotations = map[string][]string{annotation: {string(h)}}
		}
	})
}

// of is the heading of a flag.
func of(f *pflag.Flag) Heading {
	if list := f.Annotations[annotation]; len(list) == 1 {
		return Heading(list[0])
	}
	return Own
}

// A Group are the flags under a heading, in the order in which they were added.
type Group struct {
	Heading Heading
	Flags   *pflag.FlagSet
}

// Groups are those of a set of flags, without empty ones. --help, which cobra adds, is
// under Printing, if anything is.
func Groups(fs *pflag.FlagSet) []Group {
	list := make([]Group, len(order))
	for i, h := range order {
		list[i] = Group{h, pflag.NewFlagSet(string(h), pflag.ContinueOnError)}
		list[i].Flags.SortFlags = false
	}
	under := func(h Heading) *pflag.FlagSet { return list[slices.Index(order, h)].Flags }
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			under(of(f)).AddFlag(f)
		}
	})
	if help := fs.Lookup("help"); help != nil {
		home := under(Printing)
		if !home.HasFlags() {
			home = under(Own)
		}
		home.AddFlag(help)
	}
	return slices.DeleteFunc(list, func(g Group) bool { return !g.Flags.HasFlags() })
}
