/* Choosing an image out of an index; whether one fits. Called by berth-transfer and the engine. */
#include "platform.h"

#include <sys/utsname.h>

/* uname -m -> GOARCH and the variant that this machine is at best. */
static const struct {
	const char *machine, *arch, *variant;
} machines[] = {
	{ "x86_64", "amd64", "" },    { "i386", "386", "" },
	{ "i486", "386", "" },        { "i586", "386", "" },
	{ "i686", "386", "" },        { "aarch64", "arm64", "v8" },
	{ "armv8l", "arm", "v8" },    { "armv7l", "arm", "v7" },
	{ "armv6l", "arm", "v6" },    { "armv5tel", "arm", "v5" },
	{ "ppc64le", "ppc64le", "" }, { "s390x", "s390x", "" },
	{ "riscv64", "riscv64", "" }, { "loongarch64", "loong64", "" },
	{ "mips64", "mips64le", "" },
};
/* Names that people write for the same thing. */
static const struct {
	const char *said, *arch, *variant;
} synonyms[] = {
	{ "x86_64", "amd64", "" }, { "x86-64", "amd64", "" }, { "aarch64", "arm64", "" },
	{ "i386", "386", "" },     { "armhf", "arm", "v7" },  { "armel", "arm", "v6" },
};

static bool copy(char *to, size_t n, const char *from)
{
	if (strlen(from) >= n)
		return false;
	memcpy(to, from, strlen(from) + 1);
	return true;
}

void platform_of_machine(const char *machine, struct platform *ret)
{
	*ret = (struct platform){ .os = "linux" };
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
		if (streq(machines[i].machine, machine)) {
			copy(ret->arch, sizeof(ret->arch), machines[i].arch);
			copy(ret->variant, sizeof(ret->variant), machines[i].variant);
			return;
		}
	if (!copy(ret->arch, sizeof(ret->arch), machine))
		ret->arch[0] = '\0';
}

int platform_parse(const char *text, struct platform *ret, struct err *e)
{
	_cleanup_strv_ char **part = NULL;
	struct platform p = { .os = "linux" };
	struct utsname u;
	size_t n, at;

	if (!text || !*text) {
		if (uname(&u) < 0)
			return err_set(e, errno, "uname: %s", strerror(errno));
		platform_of_machine(u.machine, ret);
		return 0;
	}
	part = strv_split(text, '/');
	if (!part)
		return err_set(e, ENOMEM, "out of memory");
	n = strv_len(part);
	at = n == 1 ? 0 : 1;
	if (n > 3 || !*part[at] || !*part[0] || (n > 1 && !copy(p.os, sizeof(p.os), part[0])) ||
	    !copy(p.arch, sizeof(p.arch), part[at]) || (n == 3 && !copy(p.variant, sizeof(p.variant), part[2])))
		return err_set(e, EINVAL, "platform \"%.100s\": expected OS/ARCH[/VARIANT], for instance linux/arm64", text);
	for (size_t i = 0; i < ARRAY_SIZE(synonyms); i++)
		if (streq(p.arch, synonyms[i].said)) {
			copy(p.arch, sizeof(p.arch), synonyms[i].arch);
			if (!p.variant[0])
				copy(p.variant, sizeof(p.variant), synonyms[i].variant);
			break;
		}
	*ret = p;
	return 0;
}

/* A variant is "v" and a number; what an entry leaves out is the oldest that its architecture knows, but arm64's is v8. */
static int variant_level(const char *arch, const char *variant)
{
	uint64_t v;

	if (!variant || !*variant)
		return streq(arch, "arm64") ? 8 : 0;
	return variant[0] == 'v' && str_to_u64(variant + 1, &v) == 0 && v < 100 ? (int)v : -1;
}

/* How well an entry fits: -1 = not at all, else the higher the better. */
static int fit(const struct platform *want, const struct descriptor *d)
{
	int have, need;

	if (!d->os || !d->architecture || !streq(d->os, want->os) || !streq(d->architecture, want->arch))
		return -1;
	have = variant_level(want->arch, d->variant);
	need = variant_level(want->arch, want->variant);
	if (streq0(d->variant, want->variant))
		return 1000;
	if (have < 0)
		return -1;
	if (!want->variant[0] || need < 0) /* none asked for: the plainest runs everywhere */
		return 500 - have;
	return have <= need ? 100 + have : -1;
}

bool platform_fits(const struct platform *want, const struct image_config *c)
{
	const struct descriptor d = { .os = c->os, .architecture = c->architecture, .variant = c->variant };

	return !c->os || !*c->os || !c->architecture || !*c->architecture || fit(want, &d) >= 0;
}

char *platform_str(const struct platform *p)
{
	return str_fmt("%s/%s%s%s", p->os, p->arch, p->variant[0] ? "/" : "", p->variant);
}

int platform_choose(const struct platform *want, const struct image_index *index, struct err *e)
{
	_cleanup_free_ char *wanted = platform_str(want);
	_cleanup_buf_ struct buf offers = {};
	int best = -1, best_fit = -1;

	for (size_t i = 0; i < index->n_manifests; i++) {
		const struct descriptor *d = &index->manifests[i];
		int f = fit(want, d);

		if (f > best_fit) {
			best_fit = f;
			best = (int)i;
		}
		if (d->os && d->architecture && !streq(d->os, "unknown"))
			buf_fmt(&offers, "%s%s/%s%s%s", offers.len ? ", " : "", d->os, d->architecture, d->variant ? "/" : "",
				d->variant ? d->variant : "");
	}
	if (best >= 0)
		return best;
	/* An index of a single image that doesn't say what it is for is taken at its word: the config will tell. */
	if (index->n_manifests == 1 && !index->manifests[0].os && !index->manifests[0].architecture)
		return 0;
	return err_set(e, ENOENT, "no image for %s here; there is: %s", wanted ? wanted : "this platform",
		       offers.data ? offers.data : "none");
}
