/* exists.c: `berth container exists`, `image exists`, `volume exists`, `network exists`: an answer without a word, as podman gives it. */
#include "cli.h"

const struct opt container_exists_options[] = { { NULL } };
const struct opt image_exists_options[] = { { NULL } };
const struct opt volume_exists_options[] = { { NULL } };
const struct opt network_exists_options[] = { { NULL } };

static int answer(int r, struct err *e)
{
	if (r != -ENOENT)
		return MIN(r, 0);
	*e = (struct err){ 0 };
	return 1;
}

int cmd_container_exists(struct cli *c, struct err *e)
{
	struct container_record record = { 0 };
	int r = cli_parse(c, NULL, 1, 1, e);

	if (r != 0)
		return MIN(r, 0);
	r = answer(engine_get(c->engine, c->operands[0], &record, e), e);
	container_record_done(&record);
	return r;
}

int cmd_image_exists(struct cli *c, struct err *e)
{
	struct image image = { 0 };
	int r = cli_parse(c, NULL, 1, 1, e);

	if (r != 0)
		return MIN(r, 0);
	r = answer(image_find(engine_store(c->engine), c->operands[0], &image, e), e);
	image_done(&image);
	return r;
}

int cmd_volume_exists(struct cli *c, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	int r = cli_parse(c, NULL, 1, 1, e);

	return r != 0 ? MIN(r, 0) : answer(engine_volume_inspect(c->engine, c->operands[0], &o, e), e);
}

int cmd_network_exists(struct cli *c, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	int r = cli_parse(c, NULL, 1, 1, e);

	return r != 0 ? MIN(r, 0) : answer(engine_network_inspect(c->engine, c->operands[0], &o, e), e);
}
