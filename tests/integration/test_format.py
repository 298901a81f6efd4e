"""--format: Go's templates as docker's users write them, on documents and on lists."""

import pytest

DOCUMENT = {
    "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}": "a=1,2;b=;",
    "{{range $i, $v := .Config.Cmd}}{{if $i}} {{end}}{{$v}}{{end}}": "sleep 100000",
    "{{.Config.Labels}}": "map[a:1,2 b:]",
    "{{index .Config.Labels \"a\"}}|{{index .Config.Labels \"none\"}}|": "1,2||",
    "{{with .State.Health}}{{.Status}}{{else}}no check{{end}}": "no check",
    "{{if .State.Health}}{{.State.Health.Status}}{{end}}.": ".",
    "{{$s := .State}}{{$s.Status}} {{printf \"%-8s|%03d\" $s.Status $s.ExitCode}}": "running running |000",
    "{{slice .Id 0 3 | len}} {{.Name | printf \"%.1s\"}}": "3 /",
    "{{- /* said */ -}}{{.State.Running}}": "true",
}


@pytest.mark.parametrize("template", DOCUMENT)
def test_templates_of_inspect(cbox, template):
    name = cbox.start("sleep", "100000", opts=("-l", "b", "-l", "a=1,2"))
    assert cbox.berth.ok("inspect", "-f", template, name) == DOCUMENT[template]


def test_labels_of_lists_by_name(cbox):
    name, volume = cbox.start("sleep", "100000", opts=("-l", "a=1,b=2", "-l", "c=3")), cbox.name()
    only = ("--filter", f"name={name}", "--format")
    assert cbox.berth.ok("ps", *only, "{{.Label \"a\"}}|{{.Label \"none\"}}|{{.Names | upper}}") == f"1,b=2||{name.upper()}"
    assert cbox.berth.ok("ps", *only, "table {{.Names}}\t{{.Label \"c\"}}").split() == ["NAMES", "c", name, "3"]
    cbox.berth.ok("volume", "create", "--label", "of=me", volume)
    try:
        assert cbox.berth.ok("volume", "ls", "-f", f"name={volume}", "--format", "{{.Name}} {{.Label \"of\"}}") == f"{volume} me"
        assert cbox.berth.ok("volume", "inspect", "-f", "{{.Options}} {{.Labels}}", volume) == "map[] map[of:me]"
    finally:
        cbox.berth.ok("volume", "rm", volume)


@pytest.mark.parametrize("template, says", [
    ("{{.State.Helth}}", "there is no field .Helth"), ("{{$x}}", "there is no variable $x"), ("{{nosuch .Id}}", "there is no function"),
    ("{{printf \"%d\" .Id}}", "wants a number"), ("{{range .Mounts}}", "{{end}} is missing"),
])
def test_a_wrong_template_is_told(cbox, template, says):
    name = cbox.start("sleep", "100000")
    cbox.berth.fails("inspect", "-f", template, name, says=("--format", says))
