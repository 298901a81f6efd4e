#include <fcntl.h>

#include "probe_speed.h"
#include "tap.h"
#include "tap_dir.h"

TEST(the_median_is_the_middle_or_between_the_middle_two)
{
	double odd[] = { 9, 1, 5 }, even[] = { 4, 1, 3, 2 }, one[] = { 7 };

	ok(speed_median(odd, 3) == 5);
	ok(speed_median(even, 4) == 2.5);
	ok(speed_median(one, 1) == 7);
}

TEST(each_probe_has_a_figure_and_leaves_no_file)
{
	struct speed s = { .seconds = 0.001, .dir = tap_dir };
	struct dirent *d;
	DIR *dir;

	tap_dir_enter();
	for (size_t i = 0; i < speed_n_probes; i++) {
		char why[SPEED_REASON_BYTES] = "";
		struct speed_figure f = { 0 };

		if (streq(speed_probes[i].name, "process")) /* executes this very program */
			continue;
		if (speed_measure(&speed_probes[i], &s, &f, why) < 0)
			TAP_FAIL("%s: %s", speed_probes[i].name, why);
		ok(f.value > 0);
	}
	dir = opendir(s.dir);
	ok(dir && dir_next(dir, &d) == 0);
	closedir(dir);
	tap_dir_leave();
}

TEST(where_no_file_can_be_made_the_reason_is_told)
{
	struct speed s = { .seconds = 0.001, .dir = "/proc" };
	char why[SPEED_REASON_BYTES] = "";
	struct speed_figure f;
	unsigned n = 0;

	for (size_t i = 0; i < speed_n_probes; i++) {
		if (!str_after(speed_probes[i].name, "file."))
			continue;
		ok(speed_measure(&speed_probes[i], &s, &f, why) < 0);
		has_str(why, "/proc: ");
		n++;
	}
	is_int(n, 3);
}

TAP_MAIN()
