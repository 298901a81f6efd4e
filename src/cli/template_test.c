/* Templates: what docker's --format is used with, and clear refusals of the rest. */
#include "template.h"

#include "tap.h"

static const char document[] = "{\"Name\":\"/web\",\"N\":3,\"Zero\":0,\"On\":true,\"Null\":null,\"Empty\":[],"
			       "\"State\":{\"Status\":\"running\",\"Pid\":7},\"Args\":[\"a\",\"b\",\"c\"],"
			       "\"Labels\":{\"x.y/z\":\"1\",\"k\":\"v\"},"
			       "\"Mounts\":[{\"Source\":\"/s\",\"RW\":true},{\"Source\":\"/t\",\"RW\":false}],"
			       "\"Networks\":{\"none\":{\"IPAddress\":\"10.0.0.2\"}}}";

static struct err e;
static char *render(const char *tmpl)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct buf b = { 0 };

	e = (struct err){ 0 };
	ok(json_parse(document, strlen(document), "document", &o, &e) >= 0);
	if (template_render(tmpl, o, &b, &e) < 0) {
		buf_done(&b);
		return NULL;
	}
	return b.data ? buf_take(&b) : strdup("");
}

static const struct {
	const char *tmpl, *want;
} right[] = {
	{ "plain", "plain" },
	{ "", "" },
	{ "{{.Name}}", "/web" },
	{ "{{ .State.Status }} {{.State.Pid}}", "running 7" },
	{ "{{json .State}}", "{\"Status\":\"running\",\"Pid\":7}" },
	{ "{{json .}}", document },
	{ "{{.State | json}}", "{\"Status\":\"running\",\"Pid\":7}" },
	{ "{{json .Name}}", "\"/web\"" },
	{ "{{.Args}}", "[a b c]" },
	{ "{{.Labels}}", "map[x.y/z:1 k:v]" },
	{ "{{index .Labels \"x.y/z\"}}", "1" },
	{ "{{index .Labels \"nothing\"}}", "<no value>" },
	{ "{{index .Args 1}}", "b" },
	{ "{{(index .Mounts 1).Source}}", "/t" },
	{ "{{len .Args}} {{len .Labels}} {{len .Empty}}", "3 2 0" },
	{ "{{join .Args \", \"}}", "a, b, c" },
	{ "{{upper .State.Status}}{{lower .Name}}", "RUNNING/web" },
	{ "{{range .Args}}<{{.}}>{{end}}", "<a><b><c>" },
	{ "{{range .Empty}}x{{else}}none{{end}}", "none" },
	{ "{{range .Mounts}}{{.Source}}:{{if .RW}}rw{{else}}ro{{end}} {{end}}", "/s:rw /t:ro " },
	{ "{{range .Networks}}{{.IPAddress}}{{end}}", "10.0.0.2" },
	{ "{{range .Args}}{{$.N}}{{end}}", "333" },
	{ "{{if .Zero}}yes{{else}}no{{end}}", "no" },
	{ "{{if .Null}}yes{{end}}!", "!" },
	{ "{{if eq .State.Status \"running\"}}up{{end}}", "up" },
	{ "{{if ne .N 3}}a{{else if .On}}b{{else}}c{{end}}", "b" },
	{ "{{if .Zero}}{{if .On}}x{{else}}y{{end}}{{else}}z{{end}}", "z" },
	{ "{{if and .On (not .Zero)}}both{{end}}", "both" },
	{ "{{or .Zero .Name}}", "/web" },
	{ "{{with .State}}{{.Pid}}{{end}}", "7" },
	{ "a\\tb\\n", "a\tb\n" },
	{ "a  {{- .N -}}  b", "a3b" },
	{ "{{println .N}}", "3\n" },
	{ "{{.Null}}", "<no value>" },
	{ "{{true}}{{false}}", "truefalse" },
	{ "{{\"a\\\"b\"}}{{`c`}}", "a\"bc" },
};

TEST(what_docker_users_write_is_rendered_as_docker_does)
{
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		char *got = render(right[i].tmpl);
		if (!got)
			TAP_FAIL("%s: %s", right[i].tmpl, e.msg);
		is_str(got, right[i].want);
		free(got);
	}
}

static const struct {
	const char *tmpl, *says;
} wrong[] = {
	{ "{{.Nmae}}", "there is no field .Nmae" },
	{ "{{.Name.X}}", ".X: what stands before it has no fields" },
	{ "{{printf \"%s\" .Name}}", "function \"printf\" is not supported" },
	{ "{{$x := .Name}}", "variables are not supported" },
	{ "{{range $i, $e := .Args}}{{end}}", "variables are not supported" },
	{ "{{.Name", "\"}}\" is missing" },
	{ "{{", "ends in the middle" },
	{ "{{if .On}}x", "{{end}} is missing" },
	{ "{{if .Zero}}x", "{{end}} is missing" },
	{ "{{end}}", "{{end}} without a block" },
	{ "{{else}}", "{{else}} without a block" },
	{ "{{if .On}}a{{else}}b{{else}}c{{end}}{{end}}", "without a block" },
	{ "{{json}}", "json wants 1 argument" },
	{ "{{json .N .N}}", "json wants 1 argument" },
	{ "{{index .Args 9}}", "index out of range" },
	{ "{{index .Args \"x\"}}", "index wants" },
	{ "{{len .On}}", "len of what has no length" },
	{ "{{\"open}}", "closing quote" },
	{ "{{range .N}}x{{end}}", "range over what is no list" },
	{ "{{((((((((((((((((((((((((((((((((((.N))))))))))))))))))))))))))))))))))}}", "nested too deeply" },
	{ "{{.N 5}}", "unsupported syntax" },
};

TEST(what_is_not_supported_is_named)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char *got = render(wrong[i].tmpl);
		if (got)
			TAP_FAIL("%s gave %s", wrong[i].tmpl, got);
		has_str(e.msg, "--format: ");
		has_str(e.msg, wrong[i].says);
	}
}

TAP_MAIN()
