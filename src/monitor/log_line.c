/* Records of docker's json-file format, as we write them and as docker does: a flat object with "log", "stream", "time". */
#include "codec.h"
#include "log_line.h"

static const char *get_string(struct json_object *o, const char *key, size_t *ret_len)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return NULL;
	*ret_len = (size_t)json_object_get_string_len(v);
	return json_object_get_string(v);
}

int log_line_parse(const char *line, size_t n, struct log_line *ret)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct log_line l = { 0 };
	size_t len;

	if (n < 2 || line[0] != '{' || line[n - 1] != '}' || json_parse(line, n, "log", &o, NULL) < 0)
		return -EINVAL;
	const char *time = get_string(o, "time", &len);
	const char *stream = get_string(o, "stream", &len);
	const char *text = get_string(o, "log", &l.len);
	if (!time || !stream || !text || clock_parse(time, &l.time_ns) < 0)
		return -EINVAL;
	l.is_stderr = streq(stream, "stderr");
	l.text = malloc(l.len + 1);
	if (!l.text)
		return -ENOMEM;
	memcpy(l.text, text, l.len + 1);
	*ret = l;
	return 0;
}

void log_line_done(struct log_line *l)
{
	free(l->text);
	*l = (struct log_line){ 0 };
}
