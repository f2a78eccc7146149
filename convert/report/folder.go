package report

// Folder says what the files of a mounted source are.
type Folder struct {
	Files []FolderFile `json:"files"`
}

// FolderFile is one of them.
type FolderFile struct {
	Name string `json:"name"`
	// Present is false where the source makes no such file: the report's error says
	// why.
	Present bool `json:"present"`
	// Report is that of a conversion to a file of this name that writes nothing.
	Report *Report `json:"report"`
}
