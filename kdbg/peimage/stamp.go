package peimage

import "windmp/vtop"

// Stamp returns TimeDateStamp and CheckSum of the image mapped at base: by the first
// and the image's size symbol servers know it. Nothing else is read. The error is that
// of [Size].
func Stamp(s *vtop.Space, base vtop.VA, f Format) (timestamp, checkSum uint32, err error) {
	if _, err := Size(s, base, f); err != nil {
		return 0, 0, err
	}
	r := &firstError{r: s.Window(base, MaxSize)}
	nt := structuresOf(r)
	timestamp, checkSum = nt.timestamp(), nt.checkSum()
	if r.err != nil {
		return 0, 0, &Error{Base: base, Field: "CheckSum", Err: r.err}
	}
	return timestamp, checkSum, nil
}
