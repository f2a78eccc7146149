package guest

// isDump tells whether the source is a Windows dump, whose header is the file's
// own and not the guest's note. Without an image there is only a header.
func (g *finder) isDump() bool { return g.Image == nil || g.isDumpFile() }

func (g *finder) isDumpFile() bool { return g.Image != nil && g.Image.IsDump() }
