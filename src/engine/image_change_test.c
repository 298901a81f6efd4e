/* Dockerfile instructions on an image's configuration. */
#include "image_change.h"

#include "tap.h"

static const char base[] = "{\"Env\":[\"PATH=/bin\",\"HOME=/root\"],\"Cmd\":[\"sh\"],\"WorkingDir\":\"/srv\",\"Other\":1}";

/* key of what `change` makes of it, as JSON. */
static const char *after(const char *change, const char *key)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct json_object *v = NULL;
	struct err e = { 0 };

	is_int(json_parse(base, strlen(base), "base", &o, &e), 0);
	if (image_change(o, change, &e) < 0)
		return tap_keep(strdup(e.msg));
	json_object_object_get_ex(o, key, &v);
	return tap_keep(strdup(json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)));
}

TEST(instructions_are_read_as_in_a_dockerfile)
{
	static const struct {
		const char *change, *key, *want;
	} rows[] = {
		{ "CMD [\"a\", \"b c\"]", "Cmd", "[\"a\",\"b c\"]" },
		{ "cmd  echo $HOME ", "Cmd", "[\"/bin/sh\",\"-c\",\"echo $HOME\"]" },
		{ "CMD [not json", "Cmd", "[\"/bin/sh\",\"-c\",\"[not json\"]" },
		{ "ENTRYPOINT [\"/x\"]", "Entrypoint", "[\"/x\"]" },
		{ "ENV A=1 B=\"two words\" C='$HOME' D=$HOME/x", "Env",
		  "[\"PATH=/bin\",\"HOME=/root\",\"A=1\",\"B=two words\",\"C=$HOME\",\"D=/root/x\"]" },
		{ "ENV PATH=/opt/bin:$PATH", "Env", "[\"PATH=/opt/bin:/bin\",\"HOME=/root\"]" },
		{ "ENV OLD the rest of it", "Env", "[\"PATH=/bin\",\"HOME=/root\",\"OLD=the rest of it\"]" },
		{ "ENV A=${HOME:-x} B=${NONE:-y} C=${HOME:+z} D=${NONE:+w} E=\\$HOME F=${NONE}", "Env",
		  "[\"PATH=/bin\",\"HOME=/root\",\"A=/root\",\"B=y\",\"C=z\",\"D=\",\"E=$HOME\",\"F=\"]" },
		{ "EXPOSE 80 53/udp", "ExposedPorts", "{\"80/tcp\":{},\"53/udp\":{}}" },
		{ "LABEL a=b \"c d\"=e", "Labels", "{\"a\":\"b\",\"c d\":\"e\"}" },
		{ "ONBUILD RUN make", "OnBuild", "[\"RUN make\"]" },
		{ "STOPSIGNAL SIGINT", "StopSignal", "\"SIGINT\"" },
		{ "USER web:www", "User", "\"web:www\"" },
		{ "VOLUME /a /b", "Volumes", "{\"/a\":{},\"/b\":{}}" },
		{ "VOLUME [\"/a b\"]", "Volumes", "{\"/a b\":{}}" },
		{ "WORKDIR sub", "WorkingDir", "\"/srv/sub\"" },
		{ "WORKDIR $HOME/x", "WorkingDir", "\"/root/x\"" },
		{ "HEALTHCHECK NONE", "Healthcheck", "{\"Test\":[\"NONE\"]}" },
		{ "HEALTHCHECK --interval=5s --retries=3 CMD [\"true\"]", "Healthcheck",
		  "{\"Test\":[\"CMD\",\"true\"],\"Interval\":5000000000,\"Retries\":3}" },
		{ "HEALTHCHECK CMD curl localhost", "Healthcheck", "{\"Test\":[\"CMD-SHELL\",\"curl localhost\"]}" },
		{ "CMD x", "Other", "1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		is_str(after(rows[i].change, rows[i].key), rows[i].want);
}

TEST(what_is_no_instruction_is_named)
{
	static const struct {
		const char *change, *says;
	} rows[] = {
		{ "RUN make", "\"RUN make\" is not a valid change command" },
		{ "", "is not a valid change command" },
		{ "CMDX a", "is not a valid change command" },
		{ "ENV", "ENV says nothing" },
		{ "ENV A", "expected NAME=VALUE" },
		{ "ENV =x", "expected NAME=VALUE" },
		{ "EXPOSE 0", "expected ports" },
		{ "EXPOSE 80/icmp", "expected ports" },
		{ "USER a b", "expected USER[:GROUP]" },
		{ "STOPSIGNAL SIGNOT", "expected a signal" },
		{ "HEALTHCHECK --wrong=1 CMD x", "before CMD" },
		{ "HEALTHCHECK x", "expected NONE or CMD" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		has_str(after(rows[i].change, "Cmd"), rows[i].says);
}

TAP_MAIN()
