/* Health: what checks come out as, by docker's rules, and that one that hangs is ended. */
#include "fixture.h"

static char scratch[32];

static void clean_scratch(void) { rm_rf(AT_FDCWD, scratch); }

/* $DIR of the scripts. */
static void make_scratch(void)
{
	strcpy(scratch, "/tmp/berth-health-XXXXXX");
	ok(mkdtemp(scratch));
	atexit(clean_scratch);
	setenv("DIR", scratch, 1);
}

#define CHECK(script, interval, timeout, rest)                                                                              \
	"\"healthTest\":[\"CMD-SHELL\",\"x\"],\"healthArgs\":[\"sh\",\"-c\",\"" script "\"],\"healthIntervalMs\":" interval \
	",\"healthTimeoutMs\":" timeout ",\"healthStartIntervalMs\":20,\"healthRetries\":2" rest

static struct json_object *state(void)
{
	_cleanup_free_ char *text = NULL;
	struct json_object *o = NULL;
	struct err e = { 0 };
	size_t len;

	if (file_read(AT_FDCWD, str_fmt("%s/root/containers/" ID "/health.json", dir), 1000000, &text, &len) < 0)
		return NULL;
	is_int(json_parse(text, len, "health.json", &o, &e), 0);
	return o;
}

static bool has_status(const char *status)
{
	_cleanup_json_ struct json_object *o = state(), *v = NULL;
	bool has = o && json_object_object_get_ex(o, "Status", &v) && streq(json_object_get_string(v), status);

	v = NULL; /* o's */
	return has;
}

static void await(const char *status)
{
	for (int i = 0; i < 1000 && !has_status(status); i++)
		usleep(10000);
	ok(has_status(status));
}

/* Waits until so many checks have been made; at most HEALTH_LOGS. */
static void await_checks(size_t n)
{
	for (int i = 0; i < 1000; i++, usleep(10000)) {
		_cleanup_json_ struct json_object *o = state(), *logs = NULL;
		bool are_there = o && json_object_object_get_ex(o, "Log", &logs) && json_object_array_length(logs) >= n;

		logs = NULL; /* o's */
		if (are_there)
			return;
	}
	TAP_FAIL("there are no %zu checks", n);
}

static char *changes(void)
{
	static char *text;

	free_ptr(&text);
	file_read(AT_FDCWD, str_fmt("%s/health", dir), 1000, &text, NULL);
	return text;
}

static void finish(int fd)
{
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	transcript(fd);
	is_int(monitor_end(), 0);
}

TEST(health_follows_the_answers)
{
	make_scratch();
	int fd = run(&(struct want){ .script = "read x", .health = CHECK("echo said; test -e $DIR/well", "30", "5000", "") });

	wait_started(fd);
	await("unhealthy");
	close(open(str_fmt("%s/well", scratch), O_CREAT | O_WRONLY, 0600));
	await("healthy");
	unlink(str_fmt("%s/well", scratch));
	await("unhealthy");
	is_str(changes(), "unhealthy healthy unhealthy ");
	_cleanup_json_ struct json_object *o = state();
	struct json_object *logs = NULL, *one, *v = NULL;
	ok(json_object_object_get_ex(o, "Log", &logs));
	ok(json_object_array_length(logs) <= 5);
	one = json_object_array_get_idx(logs, json_object_array_length(logs) - 1);
	ok(json_object_object_get_ex(one, "ExitCode", &v));
	is_int(json_object_get_int(v), 1);
	ok(json_object_object_get_ex(one, "Output", &v));
	is_str(json_object_get_string(v), "said\n");
	finish(fd);
	ok(has_status("unhealthy")); /* it stays to be read */
}

TEST(failures_within_the_start_period_do_not_count)
{
	int fd = run(
		&(struct want){ .script = "read x", .health = CHECK("false", "20", "5000", ",\"healthStartPeriodMs\":3600000") });

	wait_started(fd);
	await_checks(4); /* twice as many as are let pass otherwise */
	ok(has_status("starting"));
	finish(fd);
}

TEST(failures_after_the_start_period_count)
{
	int fd =
		run(&(struct want){ .script = "read x", .health = CHECK("false", "20", "5000", ",\"healthStartPeriodMs\":200") });

	wait_started(fd);
	await("unhealthy");
	finish(fd);
}

TEST(a_check_that_hangs_is_ended)
{
	make_scratch();
	int fd = run(
		&(struct want){ .script = "read x", .health = CHECK("echo $$ >>$DIR/pids; exec sleep 1000", "30", "200", "") });

	wait_started(fd);
	await("unhealthy");
	_cleanup_free_ char *text = NULL;
	/* On a busy machine one may be ended before it has come to say who it is. */
	for (int i = 0; i < 1000 && (!text || !strchr(text, '\n') || !strchr(strchr(text, '\n') + 1, '\n')); i++, usleep(10000)) {
		free_ptr(&text);
		(void)file_read(AT_FDCWD, str_fmt("%s/pids", scratch), 100000, &text, NULL);
	}
	finish(fd);
	free_ptr(&text);
	is_int(file_read(AT_FDCWD, str_fmt("%s/pids", scratch), 100000, &text, NULL), 0);
	_cleanup_strv_ char **pids = strv_split(text, '\n');
	ok(strv_len(pids) >= 2);
	for (char **p = pids; *p && **p; p++)
		is_int(kill(atoi(*p), 0) < 0 ? errno : 0, ESRCH);
	_cleanup_json_ struct json_object *o = state();
	has_str(json_object_to_json_string(o), "Health check exceeded timeout (200ms)");
	has_str(json_object_to_json_string(o), "\"ExitCode\": -1");
}

TEST(output_is_cut_and_made_text)
{
	int fd = run(&(struct want){
		.script = "read x",
		.health = CHECK("printf '\\\\377\\\\0a'; head -c 100000 /dev/zero | tr '\\\\0' x", "20", "5000", "") });

	wait_started(fd);
	await("healthy");
	_cleanup_json_ struct json_object *o = state();
	struct json_object *logs = NULL, *v = NULL;
	ok(json_object_object_get_ex(o, "Log", &logs));
	ok(json_object_object_get_ex(json_object_array_get_idx(logs, 0), "Output", &v));
	is_int(strncmp(json_object_get_string(v),
		       "\xef\xbf\xbd\xef\xbf\xbd"
		       "axxx",
		       10),
	       0);
	is_int(json_object_get_string_len(v), 4096 + 4);
	finish(fd);
}

TEST(one_that_stands_still_for_a_moment_is_asked_again)
{
	struct stat st = { 0 };
	char still[64];

	make_scratch();
	snprintf(still, sizeof(still), "%s/still", scratch);
	setenv("STILL", still, 1);
	close(open(still, O_CREAT | O_WRONLY, 0600));
	int fd = run(&(struct want){ .script = "read x",
				     .health = "\"healthArgs\":[\"still\"],\"healthIntervalMs\":20,\"healthTimeoutMs\":5000,"
					       "\"healthStartIntervalMs\":20,\"healthRetries\":2" });

	wait_started(fd);
	for (int i = 0; i < 1000 && st.st_size < 4; i++, usleep(10000))
		ok(stat(still, &st) == 0);
	ok(st.st_size >= 4 && has_status("starting")); /* twice as often as failures are let pass */
	unlink(still);
	await("unhealthy"); /* there is no such program */
	finish(fd);
}

TEST(one_that_cannot_be_run_is_a_failure)
{
	int fd = run(&(struct want){ .script = "read x",
				     .health = "\"healthArgs\":[\"missing\"],\"healthIntervalMs\":20,\"healthTimeoutMs\":100,"
					       "\"healthStartIntervalMs\":20,\"healthRetries\":2" });

	wait_started(fd);
	await("unhealthy");
	_cleanup_json_ struct json_object *o = state();
	has_str(json_object_to_json_string(o), "not found in the image");
	finish(fd);
}

TEST(a_check_under_way_does_not_keep_the_container_from_ending)
{
	int fd = run(&(struct want){ .script = "sleep 0.3; exit 4", .health = CHECK("sleep 1000", "20", "600000", "") });

	is_str(transcript(fd), "||4 0");
	is_int(monitor_end(), 0);
	ok(has_status("starting"));
}

TAP_MAIN()
