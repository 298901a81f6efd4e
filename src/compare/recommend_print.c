/* recommend_print.c: what recommend.c has found, for people on a terminal. */
#include "compare.h"
#include "grid.h"

static void put_voice(const struct voice *v, size_t width, struct buf *out)
{
	_cleanup_free_ char *line = str_fmt("%s%s: %s", v->rule,
					    v->weight == VOICE_DECIDES ? " (decides)"
					    : v->is_asked              ? " (asked for)"
								       : "",
					    v->reason);

	out->failed |= !line;
	buf_str(out, v->weight == VOICE_AGAINST ? "  - " : "  + ");
	text_line(line ? line : "", width, 4, out);
}

/* Voices for it, or against it. */
static void put_voices(const struct recommendation *r, bool are_against, const char *heading, size_t width, struct buf *out)
{
	bool is_first = true;

	for (size_t i = 0; i < r->n_voices; i++) {
		if ((r->voices[i].weight == VOICE_AGAINST) != are_against)
			continue;
		if (is_first)
			buf_fmt(out, "%s\n", heading);
		is_first = false;
		put_voice(&r->voices[i], width, out);
	}
}

int recommendation_print(const struct recommendation *r, int fd, size_t width, struct err *e)
{
	_cleanup_buf_ struct buf out = { 0 };
	int status;

	buf_fmt(&out, "\nRECOMMENDED: --isolation %s\n", r->way);
	put_voices(r, false, "for it", width, &out);
	put_voices(r, true, "against it", width, &out);
	for (size_t i = 0; r->unknown && r->unknown[i]; i++) {
		buf_str(&out, i ? "  ? " : "not known\n  ? ");
		text_line(r->unknown[i], width, 4, &out);
	}
	if (!r->n_voices)
		text_line("No rule spoke: a container, which is what `berth run` gives unasked.", width, 0, &out);
	status = out.failed ? -ENOMEM : fd_write_full(fd, out.data, out.len);
	return status < 0 ? err_set(e, -status, "writing the recommendation: %s", strerror(-status)) : 0;
}
