/* config.json: on which CPU, memory and disk time a process runs: `process.scheduler`, `process.ioPriority`,
 * `process.execCPUAffinity` (config.md §linux-process), `linux.memoryPolicy` and `linux.personality` (config-linux.md). Words
 * become the kernel's numbers here, so that container/ only makes the calls. */
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <stdio.h>
#include <sys/personality.h>

#include "spec_rows.h"

#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5 /* Linux 5.15 */
#endif
#define MPOL_WEIGHTED_INTERLEAVE_ 6 /* Linux 6.9; an enum in newer headers */
#ifndef MPOL_F_NUMA_BALANCING
#define MPOL_F_NUMA_BALANCING (1 << 13) /* Linux 5.12 */
#endif
#define SCHED_ISO_ 4 /* reserved in <linux/sched.h>, in no kernel */

/* ---- words ---- */

static const struct spec_word policies[] = {
	{ "SCHED_OTHER", SCHED_NORMAL },
	{ "SCHED_FIFO", SCHED_FIFO },
	{ "SCHED_RR", SCHED_RR },
	{ "SCHED_BATCH", SCHED_BATCH },
	{ "SCHED_ISO", SCHED_ISO_ },
	{ "SCHED_IDLE", SCHED_IDLE },
	{ "SCHED_DEADLINE", SCHED_DEADLINE },
	{ NULL },
};
static const struct spec_word sched_flags[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK },   { "SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM },
	{ "SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN },         { "SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY },
	{ "SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS },       { "SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX }, { NULL },
};
static const struct spec_word io_classes[] = {
	{ "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
	{ "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
	{ "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE },
	{ NULL },
};
static const struct spec_word memory_modes[] = {
	{ "MPOL_DEFAULT", MPOL_DEFAULT },       { "MPOL_BIND", MPOL_BIND },
	{ "MPOL_INTERLEAVE", MPOL_INTERLEAVE }, { "MPOL_WEIGHTED_INTERLEAVE", MPOL_WEIGHTED_INTERLEAVE_ },
	{ "MPOL_PREFERRED", MPOL_PREFERRED },   { "MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY },
	{ "MPOL_LOCAL", MPOL_LOCAL },           { NULL },
};
static const struct spec_word memory_flags[] = {
	{ "MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING },
	{ "MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES },
	{ "MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES },
	{ NULL },
};
static const struct spec_word domains[] = { { "LINUX", PER_LINUX }, { "LINUX32", PER_LINUX32 }, { NULL } };

/* One pair of functions a table of words; the member is a uint64_t. */
#define WORD_ROW_FUNCTIONS(name, reader, printer, words)                                             \
	static int read_##name(struct json_object *v, void *member, const char *path, struct err *e) \
	{                                                                                            \
		return reader(v, words, member, path, e);                                            \
	}                                                                                            \
	static struct json_object *print_##name(const void *member) { return printer(words, *(const uint64_t *)member); }
WORD_ROW_FUNCTIONS(policy, spec_word_read, spec_word_print, policies)
WORD_ROW_FUNCTIONS(sched_flags, spec_words_read, spec_words_print, sched_flags)
WORD_ROW_FUNCTIONS(io_class, spec_word_read, spec_word_print, io_classes)
WORD_ROW_FUNCTIONS(memory_mode, spec_word_read, spec_word_print, memory_modes)
WORD_ROW_FUNCTIONS(memory_flags, spec_words_read, spec_words_print, memory_flags)
WORD_ROW_FUNCTIONS(domain, spec_word_read, spec_word_print, domains)

/* ---- tables ---- */

#define WORD(json_name, s, m, name, ...) \
	SPEC_ROW(json_name, FIELD_CUSTOM, s, m, .parse = read_##name, .print = print_##name, ##__VA_ARGS__)

const struct field spec_scheduler_fields[] = {
	WORD("policy", spec_scheduler, policy, policy, .flags = FIELD_REQUIRED),
	SPEC_ROW("nice", FIELD_I32, spec_scheduler, nice, FIELD_OMIT_EMPTY),
	SPEC_ROW("priority", FIELD_I32, spec_scheduler, priority, FIELD_OMIT_EMPTY),
	WORD("flags", spec_scheduler, flags, sched_flags),
	SPEC_ROW("runtime", FIELD_U64, spec_scheduler, runtime_ns, FIELD_OMIT_EMPTY),
	SPEC_ROW("deadline", FIELD_U64, spec_scheduler, deadline_ns, FIELD_OMIT_EMPTY),
	SPEC_ROW("period", FIELD_U64, spec_scheduler, period_ns, FIELD_OMIT_EMPTY),
	{ NULL },
};
const struct field spec_io_priority_fields[] = {
	WORD("class", spec_io_priority, class, io_class, .flags = FIELD_REQUIRED),
	SPEC_ROW("priority", FIELD_I32, spec_io_priority, priority, FIELD_REQUIRED),
	{ NULL },
};
const struct field spec_affinity_fields[] = {
	SPEC_ROW("initial", FIELD_STRING, spec_affinity, initial),
	SPEC_ROW("final", FIELD_STRING, spec_affinity, final),
	{ NULL },
};
const struct field spec_memory_policy_fields[] = {
	WORD("mode", spec_memory_policy, mode, memory_mode, .flags = FIELD_REQUIRED),
	SPEC_ROW("nodes", FIELD_STRING, spec_memory_policy, nodes),
	WORD("flags", spec_memory_policy, flags, memory_flags),
	{ NULL },
};
const struct field spec_personality_fields[] = {
	WORD("domain", spec_personality, domain, domain, .flags = FIELD_REQUIRED),
	SPEC_REFUSED("flags"), /* "currently no flag values are supported" */
	{ NULL },
};

const char *spec_memory_mode_word(size_t i) { return i < ARRAY_SIZE(memory_modes) ? memory_modes[i].name : NULL; }
const char *spec_memory_flag_word(size_t i) { return i < ARRAY_SIZE(memory_flags) ? memory_flags[i].name : NULL; }

/* ---- checks ---- */

static int check_scheduler(const struct spec_scheduler *s, const char *path, struct err *e)
{
	bool is_rt = s->policy == SCHED_FIFO || s->policy == SCHED_RR, is_deadline = s->policy == SCHED_DEADLINE;

	if (s->nice < -20 || s->nice > 19)
		return err_set(e, EINVAL, "%s.scheduler.nice: expected -20 to 19, found %d", path, s->nice);
	if (is_rt ? s->priority < 1 || s->priority > 99 : s->priority != 0)
		return err_set(e, EINVAL, "%s.scheduler.priority: expected %s, found %d", path,
			       is_rt ? "1 to 99" : "0 with this policy (only SCHED_FIFO and SCHED_RR have priorities)",
			       s->priority);
	if (!is_deadline && (s->runtime_ns || s->deadline_ns || s->period_ns))
		return err_set(e, EINVAL, "%s.scheduler: runtime, deadline and period belong to SCHED_DEADLINE", path);
	/* sched(7): runtime <= deadline <= period; a period of 0 is the deadline. */
	if (is_deadline && (!s->runtime_ns || s->runtime_ns > s->deadline_ns || (s->period_ns && s->deadline_ns > s->period_ns)))
		return err_set(e, EINVAL,
			       "%s.scheduler: SCHED_DEADLINE needs 0 < runtime <= deadline <= period, found %llu, %llu, %llu",
			       path, (unsigned long long)s->runtime_ns, (unsigned long long)s->deadline_ns,
			       (unsigned long long)s->period_ns);
	return 0;
}

int spec_check_sched(const struct spec_process *p, const char *path, struct err *e)
{
	char sub[64];
	int r = p->scheduler ? check_scheduler(p->scheduler, path, e) : 0;

	if (r == 0 && p->io_priority && (p->io_priority->priority < 0 || p->io_priority->priority > 7))
		r = err_set(e, EINVAL, "%s.ioPriority.priority: expected 0 (highest) to 7, found %d", path,
			    p->io_priority->priority);
	snprintf(sub, sizeof sub, "%s.execCPUAffinity.initial", path);
	if (r == 0)
		r = spec_check_list(p->exec_affinity.initial, sub, e);
	snprintf(sub, sizeof sub, "%s.execCPUAffinity.final", path);
	return r == 0 ? spec_check_list(p->exec_affinity.final, sub, e) : r;
}

/* set_mempolicy(2): which modes take nodes, and which can't do without. */
int spec_check_memory_policy(const struct spec_memory_policy *m, struct err *e)
{
	bool has_nodes = m->nodes && *m->nodes, takes = m->mode != MPOL_DEFAULT && m->mode != MPOL_LOCAL;

	if (has_nodes && !takes)
		return err_set(e, EINVAL, ".linux.memoryPolicy.nodes: MPOL_DEFAULT and MPOL_LOCAL take none, found \"%.60s\"",
			       m->nodes);
	if (!has_nodes && takes && m->mode != MPOL_PREFERRED)
		return err_set(e, EINVAL, ".linux.memoryPolicy.nodes: this mode needs nodes such as \"0-1\"");
	return spec_check_list(m->nodes, ".linux.memoryPolicy.nodes", e);
}
