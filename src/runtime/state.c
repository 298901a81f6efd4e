/* state: what is known of a container, as JSON. */
#include <stdio.h>

#include "record.h"

const struct opt state_options[] = { { NULL } };

int verb_state(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	_cleanup_held_ struct held h = HELD_NONE;
	_cleanup_json_ struct json_object *o = NULL;
	struct host host = { 0 };
	int r = record_open(rt, rt->operands[0], UNLOCKED, &h, e);

	(void)opts;
	if (r == 0)
		r = host_probe_cgroup(&host, e);
	if (r == 0) {
		o = record_json(&h.rec, record_status(&h, &host));
		if (o)
			puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
								       JSON_C_TO_STRING_NOSLASHESCAPE));
		else
			r = err_set(e, ENOMEM, "out of memory");
	}
	host_done(&host);
	return r;
}
