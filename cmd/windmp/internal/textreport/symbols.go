package textreport

import (
	"windmp/convert/inspect"
	"windmp/internal/binio"
)

// Symbols prints the keys of a guest's modules on symbol servers.
func Symbols(t *Text, r *inspect.SymbolsReport) {
	t.machine = r.Machine
	t.Heading("%-*s  module, its symbols, its image", len(t.address(0)), "base")
	often := newOften(len(r.Modules), func(i int) string { return unread(&r.Modules[i]) })
	for i := range r.Modules {
		m := &r.Modules[i]
		t.Line("%s  %s", t.address(m.Base), m.Name)
		for _, key := range []string{m.PDBKey, m.ImageKey} {
			if key != "" {
				t.Line("  %s", key)
			}
		}
		if said := often.unless(unread(m)); said != "" {
			t.Note(2, "unreadable: %s", said)
		}
	}
	often.say(t)
}

// unread is why the symbols of an image are not known, empty where they are.
func unread(m *inspect.SymbolModule) string {
	if m.Readable {
		return ""
	}
	return m.Error
}

// often is why the symbols of many images are not known, which is said once: a small dump
// has hundreds of images, and holds none of them.
type often struct {
	sentence  string
	count, of int
}

// oftenFrom is how many images have the same sentence before it is said once.
const oftenFrom = 8

// newOften looks for the sentence of most of n images; there is none if few have it.
func newOften(n int, sentence func(i int) string) often {
	counts := map[string]int{}
	most := often{of: n}
	for i := range n {
		said := sentence(i)
		if said == "" {
			continue
		}
		counts[said]++
		if counts[said] > max(most.count, oftenFrom-1) {
			most.sentence, most.count = said, counts[said]
		}
	}
	return most
}

// unless is a sentence, empty for the one that is said once.
func (o often) unless(sentence string) string {
	if sentence == o.sentence {
		return ""
	}
	return sentence
}

// say says the sentence below the list.
func (o often) say(t *Text) {
	if o.sentence != "" {
		t.Note(0, "no symbols are known of %d of %s: of each, %s", o.count, binio.Plural(o.of, "image"), o.sentence)
	}
}
