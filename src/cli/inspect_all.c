/* inspect_all: what every verb that prints whole documents does with its operands. */
#include "cli.h"
#include "output.h"

int inspect_all(struct cli *c, const char *format, inspect_fn find, void *arg, struct err *e)
{
	_cleanup_json_ struct json_object *all = json_object_new_array();
	int status = 0, r = 0;

	if (!all)
		return err_set(e, ENOMEM, "out of memory");
	for (int i = 0; i < c->n_operands; i++) {
		struct json_object *o = NULL;
		struct err why = { 0 };

		if (find(c, c->operands[i], arg, &o, &why) < 0) {
			status = cli_report(c, &why);
		} else if (json_object_array_add(all, o) < 0) {
			json_object_put(o);
			return err_set(e, ENOMEM, "out of memory");
		}
	}
	if (!format || !*format || streq(format, "json"))
		r = document_print(all, format, e);
	else
		for (size_t i = 0; r >= 0 && i < json_object_array_length(all); i++)
			r = document_print(json_object_array_get_idx(all, i), format, e);
	return r < 0 ? r : status;
}
