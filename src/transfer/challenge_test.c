#include "auth.h"
#include "tap.h"

static struct challenge read_one(const char *value)
{
	struct challenge c = {};

	challenge_read(value, &c);
	return c;
}

TEST(challenge_of_docker_hub_is_read_whole)
{
	struct challenge c = read_one("Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
				      "scope=\"repository:library/debian:pull\"");

	is_int(c.scheme, CHALLENGE_BEARER);
	is_str(c.realm, "https://auth.docker.io/token");
	is_str(c.service, "registry.docker.io");
	is_str(c.scope, "repository:library/debian:pull");
	challenge_done(&c);
}

TEST(challenge_names_are_case_blind_and_spaces_are_free)
{
	struct challenge c = read_one("  bEaReR  REALM = \"https://a/t\" ,\tService=reg");

	is_int(c.scheme, CHALLENGE_BEARER);
	is_str(c.realm, "https://a/t");
	is_str(c.service, "reg");
	challenge_done(&c);
}

TEST(challenge_bearer_is_preferred_over_basic_in_either_order)
{
	static const char *const headers[] = { "Basic realm=\"x\", Bearer realm=\"https://t/\",service=\"s\"",
					       "Bearer realm=\"https://t/\",service=\"s\", Basic realm=\"x\"" };

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		struct challenge c = read_one(headers[i]);

		is_int(c.scheme, CHALLENGE_BEARER);
		is_str(c.realm, "https://t/");
		challenge_done(&c);
	}
}

TEST(challenge_of_two_headers_keeps_the_better_one)
{
	struct challenge c = read_one("Bearer realm=\"https://t/\"");

	challenge_read("Basic realm=\"x\"", &c);
	is_int(c.scheme, CHALLENGE_BEARER);
	is_str(c.realm, "https://t/");
	challenge_done(&c);
}

TEST(challenge_quotes_hold_commas_and_escapes)
{
	struct challenge c = read_one("Bearer realm=\"https://t/?a=1,b\\\"c\",scope=\"a:b:pull,push\"");

	is_str(c.realm, "https://t/?a=1,b\"c");
	is_str(c.scope, "a:b:pull,push");
	challenge_done(&c);
}

TEST(challenge_passes_over_what_it_does_not_know)
{
	static const char *const unknown[] = { "Negotiate",
					       "Negotiate YWJj==",
					       "Digest realm=\"x\", nonce=\"y\"",
					       "",
					       ",,,",
					       "=\"x\"",
					       "Bearer",
					       "Bearer service=\"s\"",
					       "Bearer realm=\"open",
					       "\x80\x81",
					       "a b c d" };

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		struct challenge c = read_one(unknown[i]);

		is_int(c.scheme, CHALLENGE_NONE);
		challenge_done(&c);
	}
	struct challenge c = read_one("Negotiate YWJj==, Basic realm=\"x\"");
	is_int(c.scheme, CHALLENGE_BASIC);
	challenge_done(&c);
}

TEST(challenge_repeated_parameter_keeps_the_first)
{
	struct challenge c = read_one("Bearer realm=\"https://good/\",realm=\"https://evil/\"");

	is_str(c.realm, "https://good/");
	challenge_done(&c);
}

static int check(const char *registry, bool allow_http, const char *realm)
{
	const struct auth_site site = { .domain = "r", .url = registry, .allow_http = allow_http };
	struct err e = {};

	return auth_realm_check(&site, realm, &e);
}

TEST(realm_over_http_is_refused_unless_it_is_loopback_of_a_loopback_registry)
{
	is_int(check("https://r.example", false, "https://auth.example/token"), 0);
	is_int(check("https://r.example", false, "http://auth.example/token"), -EACCES);
	is_int(check("https://r.example", false, "http://127.0.0.1/token"), -EACCES);
	is_int(check("http://127.0.0.1:5000", false, "http://127.0.0.1:5001/token"), 0);
	is_int(check("http://127.0.0.1:5000", false, "http://localhost.example/token"), -EACCES);
	is_int(check("http://127.0.0.1:5000", false, "http://127.0.0.1.example/token"), -EACCES);
	is_int(check("http://r.example", true, "http://r.example/token"), 0);
	is_int(check("http://r.example", true, "http://auth.example/token"), -EACCES);
	is_int(check("https://r.example", false, "ftp://r.example/token"), -EACCES);
	is_int(check("https://r.example", false, "https://user:pw@r.example/token"), -EACCES);
}

TAP_MAIN()
