/* secrets.json: see secrets.h. */
#include "secrets.h"

#include <string.h>

#include "spec_rows.h"

static const struct field env_fields[] = {
	SPEC_ROW("name", FIELD_STRING, secret_env, name, FIELD_REQUIRED),
	SPEC_ROW("value", FIELD_STRING, secret_env, value, FIELD_REQUIRED),
	{ NULL, .flags = FIELD_STRICT },
};
static const struct field secrets_fields[] = {
	SPEC_ROW("version", FIELD_U32, secrets, version, FIELD_REQUIRED),
	SPEC_ARRAY("files", secrets, files, launch_file, launch_file_fields),
	SPEC_ARRAY("env", secrets, env, secret_env, env_fields),
	{ NULL, .flags = FIELD_STRICT },
};

int secrets_parse(const char *text, size_t len, struct secrets *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct secrets s = { 0 };
	int r = json_parse(text, len, SECRETS_FILE, &o, e);

	if (r >= 0)
		r = json_read(o, secrets_fields, &s, "", e);
	if (r >= 0 && s.version != SECRETS_VERSION)
		r = err_set(e, EINVAL, "version %u is not known", s.version);
	for (size_t i = 0; r >= 0 && i < s.n_files; i++)
		if (!s.files[i].is_base64)
			r = err_set(e, EINVAL, ".files[%zu].isBase64: must be true", i);
	if (r < 0) {
		secrets_done(&s);
		return err_push(e, r, SECRETS_FILE);
	}
	*ret = s;
	return 0;
}

struct json_object *secrets_json(const struct secrets *s) { return json_write(secrets_fields, s); }

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
}

void secrets_done(struct secrets *s)
{
	for (size_t i = 0; i < s->n_files; i++)
		wipe(s->files[i].content);
	for (size_t i = 0; i < s->n_env; i++)
		wipe(s->env[i].value);
	json_free_fields(secrets_fields, s);
	*s = (struct secrets){ 0 };
}
