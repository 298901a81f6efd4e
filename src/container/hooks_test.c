/* The six kinds of hooks: their order, what they are told, and what their failures do. */
#include "fixture.h"

static void add_hook(struct fixture *f, enum spec_hook_kind kind, const char *script)
{
	struct spec_hook *h = calloc(1, sizeof(*h));

	ok(h && f->spec.hooks.n[kind] == 0);
	h->path = strdup("/bin/sh");
	h->timeout_s = 5;
	for (const char *const *w = (const char *const[]){ "sh", "-c", script, NULL }; *w; w++)
		ok(strv_push(&h->args, *w) == 0);
	ok(strv_push(&h->env, "PATH=/usr/bin:/bin") == 0);
	f->spec.hooks.list[kind] = h;
	f->spec.hooks.n[kind] = 1;
}

TEST(hooks_run_in_their_order_and_get_the_state)
{
	static const char *const names[HOOK_COUNT] = { "prestart",       "createRuntime", "createContainer",
						       "startContainer", "poststart",     "poststop" };
	struct fixture f;
	char log[96], script[256], *text = NULL;

	fixture_init(&f);
	snprintf(log, sizeof(log), "%s/tmp/log", f.dir);
	f.args.bundle = "/the/bundle";
	for (int k = 0; k < HOOK_COUNT; k++) {
		/* startContainer runs inside, where the log is at /tmp/log. */
		snprintf(script, sizeof(script), "echo %s $(grep -o '\"status\":\"[a-z]*\"' | head -n 1) >> %s", names[k],
			 k == HOOK_START_CONTAINER ? "/tmp/log" : log);
		add_hook(&f, (enum spec_hook_kind)k, script);
	}
	is_int(run_exit(&f), 0);
	ok(file_read(AT_FDCWD, log, 65536, &text, NULL) == 0);
	is_str(text,
	       "prestart \"status\":\"created\"\ncreateRuntime \"status\":\"creating\"\ncreateContainer "
	       "\"status\":\"creating\"\n"
	       "startContainer \"status\":\"created\"\npoststart \"status\":\"running\"\npoststop \"status\":\"stopped\"\n");
	free(text);
	fixture_done(&f);
}

TEST(the_state_holds_the_pid_as_the_hooks_namespace_knows_it)
{
	struct fixture f;
	struct container *c;
	char log[96], script[160], want[32], *text = NULL;

	fixture_init(&f);
	snprintf(log, sizeof(log), "%s/tmp/log", f.dir);
	snprintf(script, sizeof(script), "grep -o '\"pid\":[0-9]*' >> %s", log);
	add_hook(&f, HOOK_CREATE_RUNTIME, script);
	add_hook(&f, HOOK_CREATE_CONTAINER, script);
	is_int(container_create(&f.args, &c, &f.err), 0);
	snprintf(want, sizeof(want), "\"pid\":%d\n\"pid\":1\n", (int)container_pid(c));
	ok(file_read(AT_FDCWD, log, 65536, &text, NULL) == 0);
	is_str(text, want);
	free(text);
	container_destroy(c);
	fixture_done(&f);
}

TEST(a_failed_poststop_hook_stops_no_other)
{
	struct spec_hook two[2];
	struct fixture f;
	char log[96], script[160];
	int status;

	fixture_init(&f);
	snprintf(log, sizeof(log), "%s/tmp/log", f.dir);
	snprintf(script, sizeof(script), "echo second >> %s", log);
	add_hook(&f, HOOK_POSTSTOP, script);
	two[0] = (struct spec_hook){ .path = (char[]){ "/bin/false" }, .timeout_s = SPEC_UNSET };
	two[1] = f.spec.hooks.list[HOOK_POSTSTOP][0];
	struct spec_hook *own = f.spec.hooks.list[HOOK_POSTSTOP];
	f.spec.hooks.list[HOOK_POSTSTOP] = two;
	f.spec.hooks.n[HOOK_POSTSTOP] = 2;
	/* Also where the container was never started, since it had been made. */
	is_int(fixture_run(&f, &status), 0);
	ok(access(log, F_OK) == 0 && unlink(log) == 0);
	add_hook(&f, HOOK_CREATE_RUNTIME, "exit 3");
	has_str(refused(&f), "createRuntime hook 0: /bin/sh: ended with status 3");
	ok(access(log, F_OK) == 0);
	f.spec.hooks.list[HOOK_POSTSTOP] = own;
	f.spec.hooks.n[HOOK_POSTSTOP] = 1;
	fixture_done(&f);
}

TEST(a_failing_or_endless_hook_fails_the_start)
{
	for (int k = 0; k <= HOOK_START_CONTAINER; k++) {
		struct fixture f;

		fixture_init(&f);
		add_hook(&f, (enum spec_hook_kind)k, "exit 7");
		has_str(refused(&f), "status 7");
		fixture_done(&f);
	}
	{
		struct fixture f;

		fixture_init(&f);
		add_hook(&f, HOOK_CREATE_RUNTIME, "exec sleep 100");
		f.spec.hooks.list[HOOK_CREATE_RUNTIME]->timeout_s = 1;
		has_str(refused(&f), "within 1 s");
		fixture_done(&f);
	}
}

TAP_MAIN()
