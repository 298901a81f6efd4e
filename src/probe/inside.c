/* inside: see inside.h. All parts in one object on one line. */
#include <stdio.h>
#include <unistd.h>

#include "probe.h"
#include "inside.h"

static int print(const char *program, bool is_removed, const char *why_not)
{
	struct json_out j = { 0 };
	int r;

	json_out_open(&j, NULL, '{');
	json_out_text(&j, "schema", PROBE_WALLS_SCHEMA);
	if (is_removed || why_not) {
		json_out_bool(&j, "removed", is_removed);
		if (why_not)
			json_out_text(&j, "notRemoved", why_not);
	}
	inside_rights(&j);
	inside_namespaces(&j);
	inside_kernel(&j);
	inside_calls(&j);
	inside_devices(&j);
	inside_writable(&j);
	inside_masks(&j);
	inside_mounts(&j, program);
	json_out_close(&j, '}');
	buf_str(&j.b, "\n");
	r = j.b.failed ? -ENOMEM : fd_write_full(STDOUT_FILENO, j.b.data, j.b.len);
	buf_done(&j.b);
	if (r < 0)
		fprintf(stderr, PROBE_PROGRAM ": walls: %s\n", strerror(-r));
	return r < 0;
}

static void wait_for_end(void)
{
	char sink[256];
	ssize_t n;

	do
		n = read(STDIN_FILENO, sink, sizeof(sink));
	while (n > 0 || (n < 0 && errno == EINTR));
}

int probe_walls(int argc, char **argv, const char *program)
{
	bool is_removed = false, waits = false;
	const char *why_not = NULL;
	int status;

	for (int i = 0; i < argc; i++) {
		if (streq(argv[i], "wait")) {
			waits = true;
		} else if (streq(argv[i], "remove")) {
			is_removed = unlink(program) == 0;
			why_not = is_removed ? NULL : strerror(errno);
		} else {
			fprintf(stderr, PROBE_PROGRAM ": walls: unknown word \"%s\"\n", argv[i]);
			return 2;
		}
	}
	status = print(program, is_removed, why_not);
	if (waits)
		wait_for_end();
	return status;
}
