package binio

func writeSize(n uint64) string        { return plainSize(n) }
func readSize(s string) (uint64, bool) { return parseSize(s) }
