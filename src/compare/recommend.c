/* recommend.c: which isolation the declared needs and the measured figures speak for. All rules are rows of one table, in the order in which they
 * are told. A row decides (a need that one isolation alone can serve) or speaks; the one for whom a row decides is recommended, else the one for
 * whom more rows speak that serve a declared need, else more of the others, else a container, which is what `berth run` gives unasked. */
#include "compare.h"

#include "shown.h"

struct question {
	const struct comparison *c;
	size_t container, vm; /* ways */
	unsigned needs;
	char ***unknown;
};
struct rule {
	const char *name;
	unsigned need; /* that it serves; 0: none in particular */
	bool decides;  /* where the need is declared */
	/* Fills for_way and reason. 1, 0: it has nothing to say, or -ENOMEM. */
	int (*speak)(const struct question *q, const struct rule *rule, struct voice *v);
	const char *words;
	const char *ids[5]; /* figures of which the first that was measured in both is asked, or walls of which all are told */
	const char *remedy; /* where none was */
};

#define LEAST_RATIO 1.1 /* what is nearer is told of nobody, however sure the figures are */

const struct need_word need_words[] = {
	{ "untrusted", "it runs code that is not trusted", NEED_UNTRUSTED },
	{ "own-kernel", "it wants a kernel of its own, with its modules and settings", NEED_KERNEL },
	{ "other-os", "it is another operating system than Linux", NEED_OTHER_OS },
	{ "density", "many instances on one host", NEED_DENSITY },
	{ "start-up", "it is started often, and somebody waits", NEED_START },
	{ .word = NULL },
};

int need_parse(const char *word, unsigned *needs, struct err *e)
{
	_cleanup_buf_ struct buf known = { 0 };

	for (const struct need_word *n = need_words; n->word; n++) {
		if (streq(n->word, word)) {
			*needs |= n->need;
			return 0;
		}
		buf_fmt(&known, "%s%s", known.len ? ", " : "", n->word);
	}
	return err_set(e, EINVAL, "--need: \"%s\" is none of %s", word, known.data ? known.data : "");
}

/* ---- how rules speak ---- */

static int say(struct voice *v, const char *for_way, char *reason)
{
	v->for_way = for_way;
	v->reason = reason;
	return reason ? 1 : -ENOMEM;
}

/* Only where the need is declared: what it says is true of any workload. */
static int speak_words(const struct question *q, const struct rule *rule, struct voice *v)
{
	return (q->needs & rule->need) ? say(v, "vm", strdup(rule->words)) : 0;
}

static int speak_walls(const struct question *q, const struct rule *rule, struct voice *v)
{
	_cleanup_buf_ struct buf found = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rule->ids) && rule->ids[i]; i++) {
		const struct wall *w = comparison_wall(q->c, rule->ids[i]);
		if (w && w->of_way[q->container] && w->of_way[q->vm] && !streq(w->of_way[q->container], w->of_way[q->vm]))
			buf_fmt(&found, "; %s: \u201c%s\u201d in a container, \u201c%s\u201d in a VM", w->title,
				w->of_way[q->container], w->of_way[q->vm]);
	}
	if (found.failed)
		return -ENOMEM;
	if (found.len || q->needs & rule->need)
		return say(v, "vm", str_fmt("%s%s", rule->words, found.data ? found.data : ""));
	return 0;
}

static int speak_emulated(const struct question *q, const struct rule *rule, struct voice *v)
{
	return streq0(q->c->ways[q->vm].accelerator, "TCG") ? say(v, "container", strdup(rule->words)) : 0;
}

/* "Until it is ready: 41.2 ms in a container, 1240 ms in a VM (TCG), 30.1×" */
static char *told(const struct question *q, const struct shown *s, const struct ratio *r)
{
	char a[NUMBER_LEN], b[NUMBER_LEN], ratio[NUMBER_LEN];
	const char *accelerator = q->c->ways[q->vm].accelerator, *gap = *s->unit ? " " : "";

	number_text(s->of_way[q->container].p50, "", a);
	number_text(s->of_way[q->vm].p50, "", b);
	number_ratio(r->of, ratio);
	return str_fmt("%s: %s%s%s in a container, %s%s%s in a VM (%s), %s (medians of %zu and %zu)", s->figure->title, a, gap,
		       s->unit, b, gap, s->unit, accelerator ? accelerator : "accelerator not known", ratio,
		       s->of_way[q->container].n, s->of_way[q->vm].n);
}

static int speak_of(const struct question *q, const struct figure *f, struct voice *v)
{
	_cleanup_(shown_done) struct shown s = { 0 };
	struct ratio r;

	if (shown_of(f, q->c->n_ways, q->container, &s) < 0)
		return -ENOMEM;
	if (!stats_differ(&s.of_way[q->container], &s.of_way[q->vm]) ||
	    !stats_ratio(&s.of_way[q->vm], &s.of_way[q->container], &r) || (r.of < LEAST_RATIO && r.of > 1 / LEAST_RATIO))
		return 0;
	return say(v, (r.of > 1) == f->more_is_better ? "vm" : "container", told(q, &s, &r));
}

static int speak_figure(const struct question *q, const struct rule *rule, struct voice *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(rule->ids) && rule->ids[i]; i++) {
		const struct figure *f = comparison_figure(q->c, rule->ids[i]);
		if (!f || !f->cells[q->container].n || !f->cells[q->vm].n)
			continue;
		int r = speak_of(q, f, v);
		if (r == 0 && q->needs & rule->need)
			r = strv_push_take(q->unknown,
					   str_fmt("%s: %s: no difference of a tenth or more that so many runs can show",
						   rule->name, f->title));
		return r;
	}
	return (q->needs & rule->need) ? strv_push_take(q->unknown, str_fmt("%s: %s", rule->name, rule->remedy)) : 0;
}

/* ---- the rules ---- */

static const struct rule rules[] = {
	{ "other-os", NEED_OTHER_OS, true, speak_words,
	  "A container runs on the host's kernel, which is Linux; another operating system needs a machine." },
	{ "own-kernel", NEED_KERNEL, true, speak_words,
	  "A kernel of its own, with its modules and its settings, is what a VM has and a container can not have." },
	{ "untrusted",
	  NEED_UNTRUSTED,
	  true,
	  speak_walls,
	  "What breaks out of a container has broken the host's kernel; of a VM it has to break a kernel of its own and then its "
	  "monitor",
	  { "kernel", "calls", "capabilities", "namespaces" } },
	{ "start-up",
	  NEED_START,
	  false,
	  speak_figure,
	  NULL,
	  { "start.ready", "start.first_byte", "start.first_instruction", "run.whole" },
	  "asked for and not measured: let `berth compare` measure start-up in container and vm" },
	{ "density",
	  NEED_DENSITY,
	  false,
	  speak_figure,
	  NULL,
	  { "density", "memory.marginal", "memory.outside" },
	  "asked for and not measured: let `berth compare` measure memory in container and vm" },
	{ "computing", 0, false, speak_figure, NULL, { "cpu" } },
	{ "system calls", 0, false, speak_figure, NULL, { "syscall", "context_switch" } },
	{ "files", 0, false, speak_figure, NULL, { "file.create", "file.write", "file.read" } },
	{ "network", 0, false, speak_figure, NULL, { "network.throughput", "network.latency" } },
	{ "emulated", 0, false, speak_emulated,
	  "The VM is emulated here (TCG): on a host with KVM its figures are others; compare there before you judge VMs by "
	  "them." },
};

static int ask(const struct question *q, const struct rule *rule, struct recommendation *ret)
{
	struct voice v = { .rule = rule->name, .is_asked = q->needs & rule->need, .weight = VOICE_SPEAKS };
	int r = rule->speak(q, rule, &v);

	if (r <= 0)
		return r;
	if (rule->decides && v.is_asked)
		v.weight = VOICE_DECIDES;
	ret->voices[ret->n_voices++] = v;
	return 0;
}

/* How many more voices of that kind speak for the VM. */
static int balance(const struct recommendation *r, bool is_asked, enum voice_weight least)
{
	int n = 0;

	for (size_t i = 0; i < r->n_voices; i++)
		if (r->voices[i].is_asked == is_asked && r->voices[i].weight >= least)
			n += streq(r->voices[i].for_way, "vm") ? 1 : -1;
	return n;
}

static const char *choose(const struct recommendation *r)
{
	int n = balance(r, true, VOICE_DECIDES);

	if (n == 0)
		n = balance(r, true, VOICE_SPEAKS);
	if (n == 0)
		n = balance(r, false, VOICE_SPEAKS);
	return n > 0 ? "vm" : "container";
}

int comparison_recommend(const struct comparison *c, unsigned needs, struct recommendation *ret, struct err *e)
{
	struct recommendation rec = { .voices = calloc(ARRAY_SIZE(rules), sizeof(*rec.voices)) };
	int container = comparison_way(c, "container"), vm = comparison_way(c, "vm"), r = rec.voices ? 0 : -ENOMEM;
	struct question q = { c, (size_t)container, (size_t)vm, needs, &rec.unknown };

	if (container < 0 || vm < 0) {
		recommendation_done(&rec);
		return err_set(e, EINVAL, "no recommendation without both: measure \"container\" and \"vm\" in one comparison");
	}
	for (size_t i = 0; i < ARRAY_SIZE(rules) && r == 0; i++)
		r = ask(&q, &rules[i], &rec);
	if (r < 0) {
		recommendation_done(&rec);
		return err_set(e, -r, "out of memory");
	}
	rec.way = choose(&rec);
	for (size_t i = 0; i < rec.n_voices; i++)
		if (!streq(rec.voices[i].for_way, rec.way))
			rec.voices[i].weight = VOICE_AGAINST;
	*ret = rec;
	return 0;
}

void recommendation_done(struct recommendation *r)
{
	for (size_t i = 0; i < r->n_voices; i++)
		free(r->voices[i].reason);
	free(r->voices);
	strv_free(r->unknown);
	*r = (struct recommendation){ 0 };
}
