#include "reg_url.h"
#include "tap.h"

TEST(loopback_is_what_the_address_says_not_the_name)
{
	static const char *const yes[] = { "127.0.0.1", "127.255.0.9", "::1", "localhost", "LOCALHOST" };
	static const char *const no[] = {
		"127.0.0.1.example", "localhost.example", "10.0.0.1", "0.0.0.0", "::2", "128.0.0.1", ""
	};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		ok(host_is_loopback(yes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		ok(!host_is_loopback(no[i]));
}

static const char *origin(const char *url)
{
	static char text[256]; /* of the last call */
	struct url_facts f = {};
	struct err e = {};

	if (url_facts_read(url, &f, &e) < 0)
		return NULL;
	snprintf(text, sizeof(text), "%s", f.origin);
	url_facts_done(&f);
	return text;
}

TEST(origin_is_scheme_host_and_port_in_one_form)
{
	is_str(origin("https://R.Example/v2/"), "https://r.example:443");
	is_str(origin("HTTPS://r.example:443"), "https://r.example:443");
	is_str(origin("http://r.example/x"), "http://r.example:80");
	is_str(origin("http://[::1]:5000/x"), "http://[::1]:5000");
}

TEST(urls_with_users_or_other_schemes_are_refused)
{
	static const char *const bad[] = { "ftp://a/", "file:///etc/passwd", "https://u@a/", "https://u:p@a/", "https://", "",
					   "a b",      "gopher://x" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ok(origin(bad[i]) == NULL);
}

TEST(ipv6_loopback_host_has_no_brackets)
{
	struct url_facts f = {};
	struct err e = {};

	is_int(url_facts_read("http://[::1]:5000/", &f, &e), 0);
	is_str(f.host, "::1");
	ok(f.is_loopback);
	url_facts_done(&f);
}

static void joins(const char *base, const char *location, const char *want)
{
	_cleanup_free_ char *url = NULL;
	struct err e = {};

	is_int(url_join(base, location, &url, &e), 0);
	is_str(url, want);
}

TEST(join_resolves_relative_locations)
{
	joins("https://a/v2/x/blobs/1", "/other?y=1", "https://a/other?y=1");
	joins("https://a/v2/x", "https://b/z", "https://b/z");
	joins("https://a/v2/x", "y", "https://a/v2/y");
}

TAP_MAIN()
