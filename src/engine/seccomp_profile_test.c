/* Profiles of docker's form become plain OCI ones: conditions decided, architectures chosen. */
#include "seccomp_profile.h"

#include "tap.h"

static const char profile[] =
	"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,"
	"\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\"]},"
	"             {\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":[\"SCMP_ARCH_ARM\"]}],"
	"\"syscalls\":["
	" {\"names\":[\"read\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\"},"
	" {\"name\":\"getpid\",\"action\":\"SCMP_ACT_ALLOW\"},"
	" {\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
	" {\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
	" {\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"4.8\"}},"
	" {\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"99.0\"}},"
	" {\"names\":[\"arm_sync\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"mips\"]}}"
	"]}";

static bool allows(const struct spec_seccomp *s, const char *name)
{
	for (size_t i = 0; i < s->n_rules; i++) {
		for (char **n = s->rules[i].names; n && *n; n++) {
			if (streq(*n, name))
				return true;
		}
	}
	return false;
}

/* A profile is freed as what it is a part of. */
static void profile_free(struct spec_seccomp *p)
{
	struct spec s;

	spec_init(&s);
	s.seccomp = p;
	spec_done(&s);
}

static struct spec_seccomp *read_with(const char *cap)
{
	struct spec_seccomp *s = NULL;
	struct err e = { 0 };
	uint64_t mask = 0;

	if (cap)
		ok(cap_parse(cap, &mask) == 0);
	if (seccomp_profile_parse(profile, strlen(profile), "p.json", mask, &s, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return s;
}

TEST(rules_are_kept_where_their_conditions_hold)
{
	struct spec_seccomp *with = read_with("CAP_SYS_ADMIN"), *without = read_with(NULL);

	is_str(with->default_action, "SCMP_ACT_ERRNO");
	ok(allows(with, "read") && allows(with, "getpid") && allows(with, "ptrace"));
	ok(allows(with, "mount") && !allows(with, "clone"));
	ok(!allows(without, "mount") && allows(without, "clone"));
	ok(!allows(with, "bpf") && !allows(with, "arm_sync"));
	profile_free(with);
	profile_free(without);
}

TEST(architectures_are_the_hosts_and_those_that_it_also_runs)
{
	struct spec_seccomp *s = read_with(NULL);

	is_int(strv_len(s->architectures), 2);
	profile_free(s);
}

TEST(what_is_no_profile_is_refused_by_name)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "{}", "p.json: \"defaultAction\" is missing" },
		{ "[]", "p.json: not a JSON object" },
		{ "nonsense", "p.json" },
		{ "{\"defaultAction\":\"SCMP_ACT_MAYBE\"}", "SCMP_ACT_MAYBE" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[5]}", "no rule" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct spec_seccomp *s = NULL;
		struct err e = { 0 };
		ok(seccomp_profile_parse(cases[i].text, strlen(cases[i].text), "p.json", 0, &s, &e) < 0);
		has_str(e.msg, cases[i].says);
	}
}

TAP_MAIN()
