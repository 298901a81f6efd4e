#include "ports.h"

#include "tap.h"

static struct err E;

static const char *shown(const char *text)
{
	static char *kept;
	struct ports p = { 0 };
	_cleanup_json_ struct json_object *o = NULL;

	free(kept);
	E = (struct err){ 0 };
	if (ports_add(&p, text, &E) < 0) {
		ports_done(&p);
		return kept = strdup(E.msg);
	}
	o = net_ports_json(p.list, p.n);
	kept = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	ports_done(&p);
	return kept;
}

#define ONE(proto, rest) "[{\"protocol\":\"" proto "\"," rest "}]"

TEST(a_port_is_published_as_docker_reads_it)
{
	is_str(shown("8080:80"), ONE("tcp", "\"hostIp\":\"127.0.0.1\",\"hostPort\":8080,\"port\":80"));
	is_str(shown("80"), ONE("tcp", "\"hostIp\":\"127.0.0.1\",\"port\":80"));
	is_str(shown("53:53/UDP"), ONE("udp", "\"hostIp\":\"127.0.0.1\",\"hostPort\":53,\"port\":53"));
	is_str(shown("0.0.0.0:80:80"), ONE("tcp", "\"hostPort\":80,\"port\":80"));
	is_str(shown("[::]:80:80"), ONE("tcp", "\"hostPort\":80,\"port\":80"));
	is_str(shown("10.0.0.1::80"), ONE("tcp", "\"hostIp\":\"10.0.0.1\",\"port\":80"));
	is_str(shown("0:80"), ONE("tcp", "\"hostIp\":\"127.0.0.1\",\"port\":80"));
	is_str(shown("[fd00::1]:80:81"), ONE("tcp", "\"hostIp\":\"fd00::1\",\"hostPort\":80,\"port\":81"));
	is_str(shown("8000-8009:80"), ONE("tcp", "\"hostIp\":\"127.0.0.1\",\"hostPort\":8000,\"hostPortLast\":8009,\"port\":80"));
	is_str(shown("80-81:90-91"), "[{\"protocol\":\"tcp\",\"hostIp\":\"127.0.0.1\",\"hostPort\":80,\"port\":90},"
				     "{\"protocol\":\"tcp\",\"hostIp\":\"127.0.0.1\",\"hostPort\":81,\"port\":91}]");
	is_str(shown("90-91"), "[{\"protocol\":\"tcp\",\"hostIp\":\"127.0.0.1\",\"port\":90},"
			       "{\"protocol\":\"tcp\",\"hostIp\":\"127.0.0.1\",\"port\":91}]");
}

TEST(a_wrong_port_is_told)
{
	static const char *const cases[][2] = {
		{ "80:", "no port specified: 80:<empty>" },
		{ "", "no port specified: <empty>" },
		{ "80:x", "invalid containerPort: x" },
		{ "80:0", "invalid containerPort: 0" },
		{ "80:65536", "invalid containerPort: 65536" },
		{ "x:80", "invalid hostPort: x" },
		{ "-1:80", "invalid hostPort: -1" },
		{ "90-80:80-90", "invalid hostPort: 90-80" },
		{ "80/quic", "invalid proto: quic" },
		{ "1.2.3:80:80", "invalid IP address: 1.2.3" },
		{ "::1:80:80", "is put in brackets, as in [::1]" },
		{ "[::x]:80:80", "invalid IP address: ::x" },
		{ "80-82:90-91", "invalid ranges specified for container and host Ports: 90-91 and 80-82" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		has_str(shown(cases[i][0]), cases[i][1]);
}

TEST(what_is_asked_for_twice_is_there_once)
{
	struct ports p = { 0 };

	is_int(ports_add(&p, "80:80", &E), 0);
	is_int(ports_add(&p, "127.0.0.1:80:80/tcp", &E), 0);
	is_int(ports_add(&p, "80:80/udp", &E), 0);
	is_int(p.n, 2);
	ports_done(&p);
}

TEST(ports_are_shown_as_docker_shows_them)
{
	static const char *const exposed[] = { "80/tcp", "443/tcp", "9000-9002", "junk", NULL };
	_cleanup_free_ char *text = NULL, *none = NULL;
	struct ports p = { 0 }, empty = { 0 };

	is_int(ports_add(&p, "8000-8002:80-82", &E), 0);
	is_int(ports_add(&p, "0.0.0.0:53:53/udp", &E), 0);
	is_int(ports_add(&p, "[fd00::1]:80:80", &E), 0);
	text = ports_text(&p, (char *const *)(uintptr_t)exposed);
	is_str(text, "127.0.0.1:8000-8002->80-82/tcp, [fd00::1]:80->80/tcp, 0.0.0.0:53->53/udp, 443/tcp, 9000-9002/tcp");
	none = ports_text(&empty, NULL);
	is_str(none, "");
	ports_done(&p);
}

TAP_MAIN()
