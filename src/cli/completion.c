/* completion.c: `berth completion SHELL`: a script that asks `berth __complete` (complete.c) and hands the answer to the shell. What it
 * asks is the berth of $PATH, so that a script that was installed once stays right. */
#include "complete.h"

const struct opt completion_options[] = { { NULL } };

/* bash takes "=" and ":" for ends of words (COMP_WORDBREAKS), and replaces only what is behind the last one. So the words are taken from
 * the line itself, and what stands before the break is cut off the answers. */
static const char bash[] = "# bash completion for berth: source <(berth completion bash)\n"
			   "_berth() {\n"
			   "\tlocal line=${COMP_LINE:0:COMP_POINT} words cur before answer others=: one\n"
			   "\tread -ra words <<<\"$line\"\n"
			   "\t[[ -n $line && $line != *[[:space:]] ]] || words+=('')\n"
			   "\tcur=${words[${#words[@]} - 1]}\n"
			   "\tbefore=${COMP_WORDBREAKS//[^:=]/}\n"
			   "\t[[ -z $before ]] || before=${cur%\"${cur##*[\"$before\"]}\"}\n"
			   "\tCOMPREPLY=()\n"
			   "\tmapfile -t answer < <(berth __complete -- \"${words[@]:1}\" 2>/dev/null)\n"
			   "\tfor one in \"${answer[@]}\"; do\n"
			   "\t\tif [[ $one == :* ]]; then\n"
			   "\t\t\tothers=$one\n"
			   "\t\t\tcontinue\n"
			   "\t\tfi\n"
			   "\t\tone=${one%%$'\\t'*}\n"
			   "\t\t[[ $one != *: ]] || compopt -o nospace 2>/dev/null\n"
			   "\t\tCOMPREPLY+=(\"${one#\"$before\"}\")\n"
			   "\tdone\n"
			   "\t[[ $cur != --*=* ]] || cur=${cur#*=}\n"
			   "\tcase $others in\n"
			   "\t:files | :directories)\n"
			   "\t\t((${#COMPREPLY[@]})) || compopt -o filenames 2>/dev/null\n"
			   "\t\tone=-f\n"
			   "\t\t[[ $others == :files ]] || one=-d\n"
			   "\t\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen $one -- \"$cur\")\n"
			   "\t\t;;\n"
			   "\tesac\n"
			   "}\n"
			   "complete -F _berth berth\n";

static const char zsh[] =
	"#compdef berth\n"
	"# zsh completion for berth: source <(berth completion zsh), or a file _berth in a directory of $fpath\n"
	"_berth() {\n"
	"\tlocal -a answer words_here joined\n"
	"\tlocal one word others=:\n"
	"\tanswer=(\"${(@f)$(berth __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
	"\tfor one in $answer; do\n"
	"\t\tif [[ $one == :* ]]; then\n"
	"\t\t\tothers=$one\n"
	"\t\t\tcontinue\n"
	"\t\tfi\n"
	"\t\tword=${one%%$'\\t'*}\n"
	"\t\tone=\"${word//:/\\\\:}:${one#*$'\\t'}\"\n"
	"\t\tif [[ $word == *: ]]; then joined+=(\"$one\"); else words_here+=(\"$one\"); fi\n"
	"\tdone\n"
	"\t(( $#words_here )) && _describe -t words 'berth' words_here\n"
	"\t(( $#joined )) && _describe -t names 'berth' joined -S ''\n"
	"\tcase $others in\n"
	"\t:files) compset -P '--*='; _files ;;\n"
	"\t:directories) compset -P '--*='; _files -/ ;;\n"
	"\tesac\n"
	"}\n"
	"if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
	"\t_berth \"$@\"\n"
	"else\n"
	"\tcompdef _berth berth\n"
	"fi\n";

static const char fish[] = "# fish completion for berth: berth completion fish | source\n"
			   "function __berth_complete\n"
			   "\tset -l words (commandline -opc)\n"
			   "\tset -l cur (commandline -ct)\n"
			   "\tset -l before (string match -r -- '^--[^=]*=' \"$cur\")\n"
			   "\tset -l rest (string replace -r -- '^--[^=]*=' '' \"$cur\")\n"
			   "\tfor one in (command berth __complete -- $words[2..-1] \"$cur\" 2>/dev/null)\n"
			   "\t\tswitch $one\n"
			   "\t\t\tcase ':files'\n"
			   "\t\t\t\tfor path in (__fish_complete_path \"$rest\")\n"
			   "\t\t\t\t\techo -- \"$before$path\"\n"
			   "\t\t\t\tend\n"
			   "\t\t\tcase ':directories'\n"
			   "\t\t\t\tfor path in (__fish_complete_directories \"$rest\")\n"
			   "\t\t\t\t\techo -- \"$before$path\"\n"
			   "\t\t\t\tend\n"
			   "\t\t\tcase ':'\n"
			   "\t\t\tcase '*'\n"
			   "\t\t\t\techo -- $one\n"
			   "\t\tend\n"
			   "\tend\n"
			   "end\n"
			   "complete -c berth -e\n"
			   "complete -c berth -f -a '(__berth_complete)'\n";

static const char *const scripts[] = { bash, zsh, fish };
const char *const completion_shells[] = { "bash", "zsh", "fish", NULL };
_Static_assert(ARRAY_SIZE(scripts) + 1 == ARRAY_SIZE(completion_shells), "every shell has its script");

int cmd_completion(struct cli *c, struct err *e)
{
	int r = cli_parse(c, NULL, 1, 1, e);

	if (r != 0)
		return MIN(r, 0);
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
		if (streq(c->operands[0], completion_shells[i])) {
			fputs(scripts[i], stdout);
			return 0;
		}
	return err_set(e, EINVAL, "there is no completion for \"%s\"; bash, zsh and fish have one", c->operands[0]);
}
