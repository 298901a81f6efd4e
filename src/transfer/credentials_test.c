#include "credentials.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "str.h"
#include "tap.h"

/* base64: user:pass -> dXNlcjpwYXNz, me:s3:cret -> bWU6czM6Y3JldA==, hub:pw -> aHViOnB3 */

static int look(const char *json, const char *domain, const char *path, struct credential *c)
{
	struct err e = {};

	*c = (struct credential){};
	return credential_read(json, strlen(json), "config.json", domain, path, c, &e);
}

TEST(entry_is_decoded_and_the_password_may_hold_colons)
{
	struct credential c;

	is_int(look("{\"auths\":{\"r.example:5000\":{\"auth\":\"bWU6czM6Y3JldA==\"}}}", "r.example:5000", "a/b", &c), 1);
	is_str(c.user, "me");
	is_str(c.password, "s3:cret");
	credential_done(&c);
}

TEST(entry_of_another_port_or_host_does_not_match)
{
	static const char json[] = "{\"auths\":{\"r.example:5000\":{\"auth\":\"dXNlcjpwYXNz\"}}}";
	struct credential c;

	is_int(look(json, "r.example", "a", &c), 0);
	is_int(look(json, "r.example:5001", "a", &c), 0);
	is_int(look(json, "xr.example:5000", "a", &c), 0);
	is_int(look(json, "r.example:50000", "a", &c), 0);
}

TEST(docker_hub_is_found_under_the_key_that_docker_writes)
{
	static const char json[] = "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"aHViOnB3\"}}}";
	struct credential c;

	is_int(look(json, "docker.io", "library/debian", &c), 1);
	is_str(c.user, "hub");
	credential_done(&c);
	is_int(look(json, "docker.io.example", "library/debian", &c), 0);
}

TEST(longest_matching_name_space_wins)
{
	static const char json[] = "{\"auths\":{\"r.example\":{\"auth\":\"dXNlcjpwYXNz\"},"
				   "\"r.example/team\":{\"auth\":\"bWU6czM6Y3JldA==\"}}}";
	struct credential c;

	is_int(look(json, "r.example", "team/app", &c), 1);
	is_str(c.user, "me");
	credential_done(&c);
	is_int(look(json, "r.example", "teamwork/app", &c), 1);
	is_str(c.user, "user");
	credential_done(&c);
}

TEST(identity_and_registry_tokens_are_kept_apart)
{
	struct credential c;

	is_int(look("{\"auths\":{\"r\":{\"auth\":\"dXNlcjo=\",\"identitytoken\":\"refresh\"}}}", "r", "a", &c), 1);
	is_str(c.identity_token, "refresh");
	ok(!c.user);
	credential_done(&c);
	is_int(look("{\"auths\":{\"r\":{\"registrytoken\":\"bear\"}}}", "r", "a", &c), 1);
	is_str(c.registry_token, "bear");
	credential_done(&c);
}

TEST(broken_files_are_named_not_ignored)
{
	static const char *const bad[] = { "{",
					   "[]",
					   "{\"auths\":{\"r\":{\"auth\":\"!!!\"}}}",
					   "{\"auths\":{\"r\":{\"auth\":\"bm9jb2xvbg==\"}}}",
					   "{\"credHelpers\":{\"r\":\"../../bin/sh\"}}",
					   "{\"credsStore\":\"a/b\"}" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct credential c = {};
		struct err e = {};

		ok(credential_read(bad[i], strlen(bad[i]), "/x/config.json", "r", "a", &c, &e) < 0);
		has_str(e.msg, "/x/config.json");
	}
}

TEST(missing_helper_is_an_error_that_names_it)
{
	struct credential c = {};
	struct err e = {};
	static const char json[] = "{\"credHelpers\":{\"r\":\"no-such-helper-here\"}}";

	is_int(credential_read(json, strlen(json), "f", "r", "a", &c, &e), -ENOENT);
	has_str(e.msg, "docker-credential-no-such-helper-here");
}

TEST(empty_entries_mean_nothing_is_stored)
{
	struct credential c;

	is_int(look("{}", "r", "a", &c), 0);
	is_int(look("{\"auths\":{}}", "r", "a", &c), 0);
	is_int(look("{\"auths\":{\"r\":{}}}", "r", "a", &c), 0);
	is_int(look("{\"auths\":{\"r\":{\"auth\":\"\"}}}", "r", "a", &c), 0);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	ok(f != NULL);
	fputs(text, f);
	fclose(f);
}

TEST(files_are_searched_in_order_and_registry_auth_file_alone_when_given)
{
	char dir[] = "/tmp/berth-cred-XXXXXX", home[64], xdg[64], docker[64], only[96];
	char *env[] = { home, xdg, docker, NULL, NULL };
	struct credential c = {};
	struct err e = {};

	ok(mkdtemp(dir) != NULL);
	snprintf(home, sizeof(home), "HOME=%s", dir);
	snprintf(xdg, sizeof(xdg), "XDG_RUNTIME_DIR=%s", dir);
	snprintf(docker, sizeof(docker), "DOCKER_CONFIG=%s", dir);
	is_int(credential_find("r", "a", env, &c, &e), 0);
	put(dir, "config.json", "{\"auths\":{\"r\":{\"auth\":\"dXNlcjpwYXNz\"}}}");
	is_int(credential_find("r", "a", env, &c, &e), 1);
	is_str(c.user, "user");
	credential_done(&c);
	snprintf(only, sizeof(only), "%s/containers", dir);
	mkdir(only, 0700);
	put(dir, "containers/auth.json", "{\"auths\":{\"r\":{\"auth\":\"bWU6czM6Y3JldA==\"}}}");
	is_int(credential_find("r", "a", env, &c, &e), 1);
	is_str(c.user, "me");
	credential_done(&c);
	snprintf(only, sizeof(only), "REGISTRY_AUTH_FILE=%s/none.json", dir);
	env[3] = only;
	is_int(credential_find("r", "a", env, &c, &e), 0);
	rm_rf(AT_FDCWD, dir);
}

TEST(a_fifo_in_place_of_the_file_does_not_block)
{
	char path[] = "/tmp/berth-cred-XXXXXX", var[64];
	char *env[] = { var, NULL };
	struct credential c = {};
	struct err e = {};

	ok(mkdtemp(path) != NULL);
	snprintf(var, sizeof(var), "REGISTRY_AUTH_FILE=%s/f", path);
	is_int(mkfifo(strchr(var, '=') + 1, 0600), 0);
	is_int(credential_find("r", "a", env, &c, &e), -EINVAL);
	has_str(e.msg, "not a regular file");
	rm_rf(AT_FDCWD, path);
}

TAP_MAIN()
