#include "idle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

enum { BLOCKS = 2000, BLOCK = 1500 };

static const char *const words[] = { "what", "is", "relocated", "stays" };
static int counted = 41;

/* KiB of our own that are in memory: /proc/self/smaps_rollup, proc_pid_smaps(5). */
static long smaps(const char *name)
{
	char line[128];
	long kib = -1;
	FILE *f = fopen("/proc/self/smaps_rollup", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtol(line + strlen(name), NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

static void use_the_heap(char **kept)
{
	for (int i = 0; i < BLOCKS; i++)
		memset(kept[i] = malloc(BLOCK), i, BLOCK);
	for (int i = 1; i < BLOCKS - 1; i++)
		free(kept[i]);
}

static void use_the_stack(void)
{
	volatile char deep[100 << 10];

	for (size_t i = 0; i < sizeof(deep); i += 1024)
		deep[i] = 1;
}

TEST(memory_that_is_not_in_use_is_given_back_and_all_else_stays)
{
	static char *kept[BLOCKS];
	long anonymous, all;

	use_the_heap(kept);
	use_the_stack();
	counted++;
	anonymous = smaps("Anonymous:");
	all = smaps("Rss:");
	ok(anonymous > BLOCKS * BLOCK / 1024);
	idle_give_back();
#ifndef __SANITIZE_ADDRESS__ /* whose malloc keeps what is freed */
	ok(smaps("Anonymous:") < anonymous - BLOCKS * BLOCK / 1024 / 2);
	ok(smaps("Rss:") < all);
#else
	(void)all;
#endif
	is_int(counted, 42);
	is_str(words[2], "relocated");
	is_int(kept[0][BLOCK - 1], 0);
	is_int((unsigned char)kept[BLOCKS - 1][0], (BLOCKS - 1) & 0xff);
}

TAP_MAIN()
