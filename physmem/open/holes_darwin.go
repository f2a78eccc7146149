package open

// seekData is SEEK_DATA of lseek(2).
const seekData = 4
