/* Whatever a workload says in its probe's place: it is refused, or it can be told in words. */
#include "walls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char boot[] = "boot";
	const struct walls_host host = { .boot_id = boot, .namespaces = { 1, 2, 3, 4, 5, 6, 7, 8 } };
	const struct walls_outside none = { 0 };
	struct walls_inside w = { 0 };
	const struct walls_view v = { &w, &none, &host };

	if (walls_read((const char *)data, size, &w, NULL) >= 0)
		for (size_t i = 0; i < n_wall_kinds; i++)
			free(wall_kinds[i].say(&v));
	walls_inside_done(&w);
	return 0;
}
