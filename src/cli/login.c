/* login.c: `berth login` and `berth logout`. */
#include "cli.h"

#include <termios.h>
#include <unistd.h>

#include "registry_options.h"

#define LINE_BYTES 1024 /* what a person types */
#define STDIN_MAX  (32u << 10)

struct login_args {
	struct registry_trust trust;
	bool password_stdin;
	char *user, *password;
};
#define AT(member) offsetof(struct login_args, member)
const struct opt login_options[] = {
	{ "username", 'u', OPT_STRING, AT(user), "USER", "asked for on a terminal otherwise" },
	{ "password", 'p', OPT_STRING, AT(password), "PASSWORD", "seen by whoever lists processes" },
	{ "password-stdin", 0, OPT_FLAG, AT(password_stdin), NULL, "read it from standard input" },
	REGISTRY_OPTIONS(struct login_args, trust),
	{ NULL },
};
const struct opt logout_options[] = { { NULL } };

/* A line of the terminal; is_secret: without an echo. */
static int ask(const char *prompt, bool is_secret, char **ret, struct err *e)
{
	struct termios before, mute;
	bool is_mute = false;
	char line[LINE_BYTES], *got;

	if (!isatty(STDIN_FILENO))
		return err_set(e, ENOTTY,
			       "Cannot perform an interactive login from a non TTY device: give --username and --password-stdin");
	/* Muted before it asks: who answers the question at once is neither shown nor flushed away. */
	if (is_secret && tcgetattr(STDIN_FILENO, &before) == 0) {
		mute = before;
		mute.c_lflag &= ~(tcflag_t)ECHO;
		is_mute = tcsetattr(STDIN_FILENO, TCSAFLUSH, &mute) == 0;
	}
	fputs(prompt, stderr);
	got = fgets(line, sizeof(line), stdin);
	if (is_mute) {
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
		fputs("\n", stderr);
	}
	if (!got)
		return err_set(e, ECANCELED, "login was given up");
	line[strcspn(line, "\r\n")] = '\0';
	*ret = strdup(line);
	explicit_bzero(line, sizeof(line));
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int read_stdin(char **ret, struct err *e)
{
	size_t len;
	int r = fd_read_all(STDIN_FILENO, STDIN_MAX, ret, &len);

	if (r < 0)
		return err_set(e, -r, "--password-stdin: %s", strerror(-r));
	while (len > 0 && ((*ret)[len - 1] == '\n' || (*ret)[len - 1] == '\r'))
		(*ret)[--len] = '\0';
	return 0;
}

static int complete(struct login_args *a, struct err *e)
{
	int r = 0;

	if (a->password && a->password_stdin)
		return err_set(e, EINVAL, "--password and --password-stdin are mutually exclusive");
	if (a->password_stdin && !a->user)
		return err_set(e, EINVAL, "Must provide --username with --password-stdin");
	if (a->password)
		fputs("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n", stderr);
	if (a->password_stdin)
		r = read_stdin(&a->password, e);
	if (r >= 0 && !a->user)
		r = ask("Username: ", false, &a->user, e);
	if (r >= 0 && !a->password)
		r = ask("Password: ", true, &a->password, e);
	if (r >= 0 && (!*a->user || !*a->password || strchr(a->user, ':')))
		return err_set(e, EINVAL, "login: a user name without \":\" and a password are needed, and neither may be empty");
	return r;
}

static int log_in(struct cli *c, const struct login_args *a, struct err *e)
{
	const struct login_opts o = { .user = a->user, .password = a->password, .trust = a->trust };
	_cleanup_(login_place_done) struct login_place place = { NULL };
	int r = engine_login(c->engine, c->n_operands ? c->operands[0] : NULL, &o, &place, e);

	if (r < 0)
		return r;
	if (!place.helper)
		fprintf(stderr, "WARNING! Your password is stored unencrypted in %s; a credential helper would keep it better.\n",
			place.file);
	puts("Login Succeeded");
	return 0;
}

int cmd_login(struct cli *c, struct err *e)
{
	struct login_args a = { 0 };
	int r = cli_parse(c, &a, 0, 1, e);

	if (r == 0)
		r = complete(&a, e);
	if (r == 0)
		r = log_in(c, &a, e);
	if (a.password)
		explicit_bzero(a.password, strlen(a.password));
	opts_done(login_options, &a);
	return MIN(r, 0);
}

int cmd_logout(struct cli *c, struct err *e)
{
	_cleanup_free_ char *name = NULL;
	bool found = false;
	int r = cli_parse(c, NULL, 0, 1, e);

	if (r == 0)
		r = engine_logout(c->engine, c->n_operands ? c->operands[0] : NULL, &name, &found, e);
	if (r == 0 && name)
		printf(found ? "Removing login credentials for %s\n" : "Not logged in to %s\n", name);
	return MIN(r, 0);
}
