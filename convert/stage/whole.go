package stage

// A Whole is told before a stage reads all of something, where a few kilobytes did not
// say what there is to say.
type Whole struct {
	// Stage is the one that reads: Unpack the packed file, Open a stream whose pages
	// have no index, Kernel memory that nothing leads through, Read a file that is to
	// be read to its end, Write the memory that is copied.
	Stage Stage
	// Table is set where Open reads no more than a table of pages.
	Table bool
	// Fetched is set where Unpack fetches a file from a server, packed or not.
	Fetched bool
	// Bytes is how many that has. A search may go through them more than once, and may
	// end sooner.
	Bytes int64
}

// Foretell tells of a Whole, if anybody listens.
func Foretell(tell func(Whole), s Stage, bytes int64) {
	if tell != nil {
		tell(Whole{Stage: s, Bytes: bytes})
	}
}

// Once tells of a Whole the first time, and not again; nil stays nil. It is for one
// goroutine.
func Once(tell func(Whole)) func(Whole) {
	if tell == nil {
		return nil
	}
	said := false
	return func(w Whole) {
		if !said {
			said = true
			tell(w)
		}
	}
}
