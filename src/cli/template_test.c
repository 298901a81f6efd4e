/* Templates: what docker's --format is used with, and clear refusals of the rest. */
#include "template.h"

#include "tap.h"

static const char document[] = "{\"Name\":\"/web\",\"Entrypoint\":null,\"N\":3,\"Zero\":0,\"On\":true,\"Null\":null,\"Empty\":[],"
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
	{ "{{.Labels}}", "map[k:v x.y/z:1]" },
	{ "{{index .Labels \"x.y/z\"}}", "1" },
	{ "{{index .Labels \"nothing\"}}{{index .Null \"x\"}}", "" },
	{ "{{if eq (index .Labels \"nothing\") \"\"}}none{{end}}{{index .Networks \"nothing\"}}", "none<no value>" },
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
	{ "{{$x := .Name}}{{$x}}{{$x := .N}}{{$x}}", "/web3" },
	{ "{{$x := .State}}{{$x.Pid}} {{len $x.Status}}", "7 7" },
	{ "{{$n := 0}}{{range .Args}}{{$n = .}}{{end}}{{$n}}", "c" },
	{ "{{$x := 1}}{{if .On}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21" },
	{ "{{range $i, $v := .Args}}{{if $i}},{{end}}{{$v}}{{end}}", "a,b,c" },
	{ "{{range $v := .Args}}{{$v}}{{.}}{{end}}", "aabbcc" },
	{ "{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}", "k=v x.y/z=1 " },
	{ "{{range $k, $v := .Networks}}{{$k}} {{$v.IPAddress}}{{end}}", "none 10.0.0.2" },
	{ "{{range $i, $v := .Empty}}x{{else}}none{{end}}", "none" },
	{ "{{if $s := .State}}{{$s.Pid}}{{end}}", "7" },
	{ "{{with $s := .State}}{{$s.Pid}}{{.Pid}}{{$.N}}{{end}}", "773" },
	{ "{{with .Null}}x{{else}}none{{end}}", "none" },
	{ "{{/* no */}}a{{- /* {{end}} */ -}} b{{if .Zero}}{{/* {{end}} */}}{{end}}c", "abc" },
	{ "{{.State.Health}}{{if .State.Health}}x{{else}}none{{end}}", "<nil>none" },
	{ "{{.Entrypoint}}{{json .Entrypoint}}{{len .Entrypoint}}{{range .Entrypoint}}x{{end}}", "[]null0" },
	{ "{{.Label \"k\"}}.{{.Label \"nothing\"}}.{{if .Label \"k\"}}y{{end}}", "v..y" },
	{ "{{.Labels.k}}{{.Labels.nothing}}", "v<no value>" },
	{ "{{printf \"%s-%d|%-6s|%6s|%.2s|%%|%v|%t\" .Name .N \"ab\" \"ab\" .State.Status .Args .On}}",
	  "/web-3|ab    |    ab|ru|%|[a b c]|true" },
	{ "{{printf \"%05d %+d %x %q %.1f %6.2f\" .N .N 255 .Name 3 .N}}", "00003 +3 ff \"/web\" 3.0   3.00" },
	{ "{{printf \"%04d %3d|%-3d|\" -7 7 7}}", "-007   7|7  |" },
	{ "{{.Name | printf \"%.2s\"}}", "/w" },
	{ "{{slice .Name 1 3}}{{slice .Name 2}}{{slice .Args 1}}", "weeb[b c]" },
	{ "{{split \"a,b\" \",\"}}{{join (split \"xyz\" \"\") \"-\"}}{{split \"\" \",\"}}", "[a b]x-y-z[]" },
	{ "{{truncate .Name 2}}{{truncate .Name 9}}{{pad .Name 1 2}}|{{title \"ab cd\"}}", "/w/web /web  |Ab Cd" },
	{ "{{lt .N 4}}{{le .N 3}}{{gt .N 3}}{{ge .N 3}}{{lt \"a\" \"b\"}}", "truetruefalsetruetrue" },
	{ "{{print .N .N .Name .N}}", "3 3/web3" },
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
	{ "{{urlquery .Name}}", "there is no function \"urlquery\"" },
	{ "{{$x}}", "there is no variable $x" },
	{ "{{$x = 1}}", "there is no variable $x; $x := makes one" },
	{ "{{if .On}}{{$x := 1}}{{end}}{{$x}}", "there is no variable $x" },
	{ "{{range $v := .Args}}{{end}}{{$v}}", "there is no variable $v" },
	{ "{{with .State}}{{.Health.Status}}{{.Nmae}}{{end}}", "there is no field .Nmae" },
	{ "{{$abcdefghijklmnopqrstuvwxyzabcdefghij := 1}}", "too long a name" },
	{ "{{/* no end", "a comment without its end" },
	{ "{{.Label}}", ".Label wants a label's name" },
	{ "{{.Label .N}}", ".Label wants a label's name" },
	{ "{{printf .N}}", "printf wants a text first" },
	{ "{{printf \"%d\" .Name}}", "printf wants a number" },
	{ "{{printf \"%f\" .Name}}", "printf wants a number" },
	{ "{{printf \"%d\"}}", "more verbs than values" },
	{ "{{printf \"%d\" 1 2}}", "more values than verbs" },
	{ "{{printf \"%y\" 1}}", "printf knows" },
	{ "{{printf \"%\" 1}}", "printf knows" },
	{ "{{slice .Name 9}}", "within what it cuts" },
	{ "{{slice .Name \"a\"}}", "within what it cuts" },
	{ "{{slice .N}}", "slice wants a text or a list" },
	{ "{{split .N \",\"}}", "split wants a text" },
	{ "{{truncate .Name -1}}", "truncate wants a text and a length" },
	{ "{{pad .Name 1 -1}}", "pad wants a text and two numbers" },
	{ "{{pad .Name 1 99999}}", "pad wants a text and two numbers" },
	{ "{{lt .N .Name}}", "two numbers or two texts" },
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
