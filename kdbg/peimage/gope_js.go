package peimage

import "io"

// structuresOf are those of the image that r shows.
func structuresOf(r io.ReaderAt) structures { return layouts{fields{r}} }
