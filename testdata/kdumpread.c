/*
 * Reads guest-physical memory of a kdump-compressed file with libkdumpfile and
 * writes it to standard output: an independent reader for the tests.
 *
 *   kdumpread FILE START SIZE [START SIZE]...    numbers in any base of strtoull
 */
#include <fcntl.h>
#include <libkdumpfile/kdumpfile.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	static char page[4096];
	kdump_ctx_t *ctx = kdump_new();
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;

	if (ctx == NULL || fd < 0) {
		perror("open");
		return 1;
	}
	if (kdump_open_fd(ctx, fd) != KDUMP_OK) {
		fprintf(stderr, "%s\n", kdump_get_err(ctx));
		return 1;
	}
	for (int i = 2; i + 1 < argc; i += 2) {
		unsigned long long at = strtoull(argv[i], NULL, 0);
		unsigned long long end = at + strtoull(argv[i + 1], NULL, 0);

		for (; at < end; at += sizeof(page)) {
			size_t n = sizeof(page);

			if (kdump_read(ctx, KDUMP_MACHPHYSADDR, at, page, &n) != KDUMP_OK) {
				fprintf(stderr, "at %#llx: %s\n", at, kdump_get_err(ctx));
				return 1;
			}
			if (fwrite(page, sizeof(page), 1, stdout) != 1)
				return 1;
		}
	}
	kdump_free(ctx);
	return fflush(stdout) != 0;
}
