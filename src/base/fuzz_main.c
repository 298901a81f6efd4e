/* A main for the fuzz targets where libFuzzer is not there: runs each file of the corpus directories given, and then the
 * same bytes mutated in ways that are the same in every run (cut short, bits flipped, bytes overwritten, parts repeated).
 * So every build, sanitized ones first of all, feeds its parsers some thousand broken inputs. */
#include <dirent.h>
#include <stdio.h>

#include "base.h"

#define MUTANTS   400 /* a file */
#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* xorshift64: repeatable, which is the point. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* The target gets an exact heap copy, so that reading one byte too far is seen by ASan. */
static void feed(const char *data, size_t n)
{
	_cleanup_free_ uint8_t *exact = malloc(n ? n : 1);

	if (!exact)
		abort();
	memcpy(exact, data, n);
	LLVMFuzzerTestOneInput(exact, n);
}

static void mutate(const char *data, size_t n, uint64_t seed)
{
	static const char interesting[] = { 0,   1,   (char)0x7f, (char)0x80, (char)0xff, '"', '\\', '{',
					    '}', '[', ':',        ',',        '-',        '/', '.' };
	_cleanup_buf_ struct buf b = {};
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	buf_add(&b, data, n);
	for (uint64_t edits = 1 + next_random(&state) % 4; edits > 0 && b.len > 0 && !b.failed; edits--) {
		size_t at = next_random(&state) % b.len;
		switch (next_random(&state) % 5) {
		case 0: b.data[at] ^= (char)(1 << next_random(&state) % 8); break;
		case 1: b.data[at] = interesting[next_random(&state) % sizeof interesting]; break;
		case 2: b.len = at; break;
		case 3: {
			_cleanup_free_ char *part = strndup(b.data + at, 1 + next_random(&state) % 64);
			if (part)
				buf_add(&b, part, strlen(part));
			break;
		}
		default:
			memmove(b.data + at, b.data + at + 1, b.len - at - 1);
			b.len--;
			break;
		}
	}
	feed(b.data ? b.data : "", b.len);
}

static int run_directory(const char *path, size_t *files)
{
	DIR *d = opendir(path);
	struct dirent *entry;

	if (!d) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	while ((entry = readdir(d))) {
		_cleanup_free_ char *data = NULL;
		size_t n;
		if (entry->d_name[0] == '.')
			continue;
		int r = file_read(dirfd(d), entry->d_name, INPUT_MAX, &data, &n);
		if (r < 0) {
			fprintf(stderr, "%s/%s: %s\n", path, entry->d_name, strerror(-r));
			closedir(d);
			return -1;
		}
		feed(data, n);
		for (uint64_t seed = 0; seed < MUTANTS; seed++)
			mutate(data, n, seed + *files * MUTANTS);
		++*files;
	}
	closedir(d);
	return 0;
}

int main(int argc, char **argv)
{
	size_t files = 0;

	for (int i = 1; i < argc; i++)
		if (run_directory(argv[i], &files) < 0)
			return 1;
	if (files == 0) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY...\n", argv[0]);
		return 1;
	}
	printf("%zu files, %zu inputs\n", files, files * (MUTANTS + 1));
	return 0;
}
