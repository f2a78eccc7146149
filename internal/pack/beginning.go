package pack

import "io"

// Beginning is the first n bytes of what is packed in a file, of an archive those of its
// first member; fewer where there are no more, or they can't be unpacked.
func Beginning(how Method, r *io.SectionReader, n int) []byte {
	c, err := newContents(how, r)
	if err != nil {
		return nil
	}
	defer c.close()
	m, err := c.next()
	if err != nil {
		return nil
	}
	b := make([]byte, n)
	got, _ := io.ReadFull(m.r, b) // what is short or damaged is as far as it goes
	return b[:got]
}
