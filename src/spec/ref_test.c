#include "ref.h"

#include "tap.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DG  "sha256:" HEX

static struct err E;

TEST(references_parse_print_and_shorten_as_docker_does)
{
	static const struct {
		const char *text, *registry, *domain, *path, *tag, *digest, *whole, *familiar;
	} rows[] = {
		{ "debian", NULL, "docker.io", "library/debian", "latest", NULL, "docker.io/library/debian:latest",
		  "debian:latest" },
		{ "debian:12", NULL, "docker.io", "library/debian", "12", NULL, "docker.io/library/debian:12", "debian:12" },
		{ "a/b", NULL, "docker.io", "a/b", "latest", NULL, "docker.io/a/b:latest", "a/b:latest" },
		{ "a/b/c:t", NULL, "docker.io", "a/b/c", "t", NULL, "docker.io/a/b/c:t", "a/b/c:t" },
		{ "debian@" DG, NULL, "docker.io", "library/debian", NULL, DG, "docker.io/library/debian@" DG, "debian@" DG },
		{ "debian:12@" DG, NULL, "docker.io", "library/debian", "12", DG, "docker.io/library/debian:12@" DG,
		  "debian:12@" DG },
		{ "index.docker.io/debian", NULL, "docker.io", "library/debian", "latest", NULL,
		  "docker.io/library/debian:latest", "debian:latest" },
		{ "docker.io/library/debian", NULL, "docker.io", "library/debian", "latest", NULL,
		  "docker.io/library/debian:latest", "debian:latest" },
		{ "localhost/x", NULL, "localhost", "x", "latest", NULL, "localhost/x:latest", "localhost/x:latest" },
		{ "127.0.0.1:5000/x:1", NULL, "127.0.0.1:5000", "x", "1", NULL, "127.0.0.1:5000/x:1", "127.0.0.1:5000/x:1" },
		{ "[::1]:5000/x", NULL, "[::1]:5000", "x", "latest", NULL, "[::1]:5000/x:latest", "[::1]:5000/x:latest" },
		{ "[fe80::1]/x", NULL, "[fe80::1]", "x", "latest", NULL, "[fe80::1]/x:latest", "[fe80::1]/x:latest" },
		{ "Host/x", NULL, "Host", "x", "latest", NULL, "Host/x:latest", "Host/x:latest" },
		{ "quay.io/a/b", NULL, "quay.io", "a/b", "latest", NULL, "quay.io/a/b:latest", "quay.io/a/b:latest" },
		{ "x", "127.0.0.1:5000", "127.0.0.1:5000", "x", "latest", NULL, "127.0.0.1:5000/x:latest",
		  "127.0.0.1:5000/x:latest" },
		{ "a.b_c__d-e---f/g:V_1.2-3", NULL, "docker.io", NULL, NULL, NULL, NULL,
		  NULL }, /* "a.b..." is a domain, and no valid one */
		{ "x/a.b_c__d-e---f:V_1.2-3", NULL, "docker.io", "x/a.b_c__d-e---f", "V_1.2-3", NULL,
		  "docker.io/x/a.b_c__d-e---f:V_1.2-3", "x/a.b_c__d-e---f:V_1.2-3" },
		{ "docker.io/library/a.b", NULL, "docker.io", "library/a.b", "latest", NULL, "docker.io/library/a.b:latest",
		  "a.b:latest" },
		/* What would read as a domain keeps its own; what would read as an id keeps its "library/". */
		{ "docker.io/lib.x/b", NULL, "docker.io", "lib.x/b", "latest", NULL, "docker.io/lib.x/b:latest",
		  "docker.io/lib.x/b:latest" },
		{ "docker.io/library/" HEX "@" DG, NULL, "docker.io", "library/" HEX, NULL, DG, "docker.io/library/" HEX "@" DG,
		  "library/" HEX "@" DG },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ref r = {};
		int k = ref_parse(rows[i].text, rows[i].registry, &r, &E);
		if (!rows[i].path) {
			ok(k < 0);
			continue;
		}
		if (k < 0)
			TAP_FAIL("%s: %s", rows[i].text, E.msg);
		is_str(r.domain, rows[i].domain);
		is_str(r.path, rows[i].path);
		is_str(r.tag, rows[i].tag);
		is_str(r.digest, rows[i].digest);
		_cleanup_free_ char *whole = ref_str(&r), *familiar = ref_familiar(&r);
		is_str(whole, rows[i].whole);
		is_str(familiar, rows[i].familiar);
		ref_done(&r);
		/* Both forms lead back to the same reference. */
		const char *forms[] = { whole, familiar };
		for (size_t n = 0; n < ARRAY_SIZE(forms); n++) {
			is_int(ref_parse(forms[n], NULL, &r, &E), 0);
			_cleanup_free_ char *again = ref_str(&r);
			is_str(again, rows[i].whole);
			ref_done(&r);
		}
	}
}

TEST(what_is_no_reference_is_refused_with_its_reason)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "empty" },
		{ "Debian", "lower case" },
		{ "a/Debian", "lower case" },
		{ "http://x/y", "no \"http://\"" },
		{ "docker://debian", "no \"docker://\"" },
		{ HEX, "image id" },
		{ "a b", "' ' can't stand" },
		{ "a\nb", "can't stand" },
		{ "a/../b", "begins and ends" },
		{ "../b", "is not a registry" },
		{ "a//b", "begins and ends" },
		{ "/a", "begins and ends" },
		{ "a/", "begins and ends" },
		{ "a..b", "begins and ends" },
		{ "a___b", "begins and ends" },
		{ "-a", "begins and ends" },
		{ "a-", "begins and ends" },
		{ ":tag", "no repository name" },
		{ "@" DG, "no repository name" },
		{ "a:", "is not a tag" },
		{ "a:.b", "is not a tag" },
		{ "a:-b", "is not a tag" },
		{ "a:b/c", "is not a registry" },
		{ "a:t g", "is not a tag" },
		{ "a@sha256:12", "is not a digest" },
		{ "a@sha512:" HEX HEX, "is not a digest" },
		{ "a@sha256:../../x", "is not a digest" },
		{ "a@" DG "@" DG, "is not a digest" },
		{ "x:70000/a", "is not a registry" },
		{ "x:0/a", "is not a registry" },
		{ "x:/a", "is not a registry" },
		{ "-x.y/a", "is not a registry" },
		{ "x-.y/a", "is not a registry" },
		{ "x..y/a", "is not a registry" },
		{ ".x/a", "is not a registry" },
		{ "[::1/a", "is not a registry" },
		{ "[::1]x/a", "is not a registry" },
		{ "[]:1/a", "is not a registry" },
		{ "a.b/", "no repository name" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ref r = {};
		if (ref_parse(rows[i].text, NULL, &r, &E) == 0)
			TAP_FAIL("accepted: %s", rows[i].text);
		ok(!r.domain && !r.path && !r.tag && !r.digest);
		if (!strstr(E.msg, rows[i].why))
			TAP_FAIL("%s: %s (expected: %s)", rows[i].text, E.msg, rows[i].why);
	}
}

TEST(lengths_are_bounded)
{
	char tag[2 + 129 + 1] = "a:", name[300];
	struct ref r;

	memset(tag + 2, 'x', 128);
	is_int(ref_parse(tag, NULL, &r, &E), 0);
	ref_done(&r);
	tag[2 + 128] = 'x';
	ok(ref_parse(tag, NULL, &r, &E) < 0);

	/* "docker.io/library/" + 237 = 255 */
	memset(name, 'n', 238);
	name[237] = 0;
	is_int(ref_parse(name, NULL, &r, &E), 0);
	ref_done(&r);
	name[237] = 'n';
	name[238] = 0;
	ok(ref_parse(name, NULL, &r, &E) < 0);
	has_str(E.msg, "255 bytes");
}

TAP_MAIN()
