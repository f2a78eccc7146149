package htmlreport

import (
	"fmt"
	"strings"

	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// builder makes what the template shows.
type builder struct {
	words func(string) string
	// machine is whose addresses they are.
	machine *machine.Machine
}

// text is what the libraries say, in the words of whoever makes the page.
func (b *builder) text(s string) string { return binio.Visible(b.words(s)) }

// hex is a number.
func hex(v report.Hex) string { return fmt.Sprintf("%#x", uint64(v)) }

// address is a virtual address of the guest, with all its digits.
func (b *builder) address(va report.Hex) string {
	return fmt.Sprintf("%#0*x", b.machine.Digits(), uint64(va))
}

// physicalDigits are those of a physical address, unless it has more.
const physicalDigits = 12

// physical is a physical address.
func (b *builder) physical(pa uint64) string {
	return fmt.Sprintf("%#0*x", min(physicalDigits, b.machine.Digits()), pa)
}

// machineOf is the machine of that name, the likeliest before one is known.
func machineOf(s *report.System) *machine.Machine {
	if s == nil {
		return machine.OrFirst("")
	}
	return machine.OrFirst(s.Machine)
}

// moment is a time of a report for people.
func moment(s string) string { return binio.Visible(binio.MomentOf(s)) }

// heads are the headings of columns; those that begin with # are of numbers.
func heads(names ...string) []cell {
	list := make([]cell, 0, len(names))
	for _, name := range names {
		c := cell{Text: name}
		if rest, ok := strings.CutPrefix(name, "#"); ok {
			c = cell{Text: rest, Class: "n"}
		}
		list = append(list, c)
	}
	return list
}

// code is text of a fixed width.
func code(s string) cell { return cell{Text: s, Class: "c"} }

// wrapped is text of a fixed width that may be long.
func wrapped(s string) cell { return cell{Text: s, Class: "c wrap"} }

// plain is text.
func plain(s string) cell { return cell{Text: s} }

// facts are names, each with what is said of it, without those of which nothing is.
type facts []fact

// add says something.
func (f *facts) add(name string, values ...cell) {
	var list []cell
	for _, v := range values {
		if v.Text != "" {
			list = append(list, v)
		}
	}
	if len(list) > 0 {
		*f = append(*f, fact{Name: name, Values: list})
	}
}
