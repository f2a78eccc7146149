package winhdr

// Context is a CONTEXT of either width: *[Context64] or *[Context32].
type Context interface {
	// IP and SP are the instruction pointer and the stack pointer, VA.
	IP() uint64
	SP() uint64
	// CodeSegment is the selector in CS.
	CodeSegment() uint16
	Encode() []byte
	Plausible() error
	PlausibleKernel() error
}

// ContextSize is the size in bytes of a CONTEXT of that width.
func ContextSize(is32 bool) int {
	if is32 {
		return ContextSize32
	}
	return ContextSize64
}

// DecodeContext decodes b, whose size says which width it is: ContextSize64 or
// ContextSize32, otherwise the error is a *SizeError.
func DecodeContext(b []byte) (Context, error) {
	var c Context
	var err error
	if len(b) == ContextSize32 {
		c, err = DecodeContext32(b)
	} else {
		c, err = DecodeContext64(b)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// IP is Rip.
func (c *Context64) IP() uint64 { return c.Rip }

// SP is Rsp.
func (c *Context64) SP() uint64 { return c.Rsp }

// CodeSegment is SegCs.
func (c *Context64) CodeSegment() uint16 { return c.SegCs }

// IP is Eip.
func (c *Context32) IP() uint64 { return uint64(c.Eip) }

// SP is Esp.
func (c *Context32) SP() uint64 { return uint64(c.Esp) }

// CodeSegment is SegCs, whose upper half has no meaning.
func (c *Context32) CodeSegment() uint16 { return uint16(c.SegCs & 0xffff) }
