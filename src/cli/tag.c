/* tag.c: `berth tag`. */
#include "cli.h"

const struct opt tag_options[] = { { NULL } };

int cmd_tag(struct cli *c, struct err *e)
{
	struct ref ref;
	int r = cli_parse(c, NULL, 2, 2, e);

	if (r != 0)
		return MIN(r, 0);
	r = ref_parse(c->operands[1], NULL, &ref, e);
	if (r < 0)
		return r;
	if (ref.digest)
		r = err_set(e, EINVAL, "\"%s\": a new name can't hold a digest; use NAME:TAG", c->operands[1]);
	else
		r = image_tag(engine_store(c->engine), c->operands[0], &ref, e);
	ref_done(&ref);
	return r;
}
