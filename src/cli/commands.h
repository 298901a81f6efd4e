/* commands.h: the one table of what `berth` can be told. A row declares the verb's function (cmd_X), its options (X_options),
 * and everything that help, man pages and completion print. */
#pragma once

#include "opts.h"

enum {
	CMD_STORE = 1 << 0,  /* opens the engine before the verb runs */
	CMD_ENGINE = 1 << 3, /* makes it without its store, which the verb's deed opens */
	CMD_STOP = 1 << 1,   /* the first operand ends the options: what follows belongs to the container */
	CMD_HIDDEN = 1 << 2,
};
enum topic { TOPIC_RUN, TOPIC_POD, TOPIC_VM, TOPIC_NETWORK, TOPIC_VOLUME, TOPIC_IMAGE, TOPIC_SYSTEM, TOPIC_COUNT };

/* X(function, words, topic, operands, summary, flags). Words are one ("run") or two ("image prune"). */
#define COMMANDS(X)                                                                                                             \
	X(run, "run", TOPIC_RUN, "IMAGE [COMMAND [ARG...]]", "create and start a container or a virtual machine",               \
	  CMD_ENGINE | CMD_STOP)                                                                                                \
	X(create, "create", TOPIC_RUN, "IMAGE [COMMAND [ARG...]]", "create one without starting it", CMD_STORE | CMD_STOP)      \
	X(start, "start", TOPIC_RUN, "[CONTAINER...]", "start created or exited containers", CMD_STORE)                         \
	X(stop, "stop", TOPIC_RUN, "[CONTAINER...]", "ask containers to end, then kill them", CMD_STORE)                        \
	X(restart, "restart", TOPIC_RUN, "[CONTAINER...]", "stop and start again", CMD_STORE)                                   \
	X(kill, "kill", TOPIC_RUN, "[CONTAINER...]", "send a signal to the main process", CMD_STORE)                            \
	X(update, "update", TOPIC_RUN, "CONTAINER...", "give containers and virtual machines other limits", CMD_STORE)          \
	X(rm, "rm", TOPIC_RUN, "[CONTAINER...]", "remove containers", CMD_STORE)                                                \
	X(ps, "ps", TOPIC_RUN, "", "list containers", CMD_STORE)                                                                \
	X(stats, "stats", TOPIC_RUN, "[CONTAINER...]", "what containers use: processors, memory, network, disks", CMD_STORE)    \
	X(logs, "logs", TOPIC_RUN, "[CONTAINER]", "print what a container has written", CMD_STORE)                              \
	X(exec, "exec", TOPIC_RUN, "CONTAINER COMMAND [ARG...]", "run one more process in a container", CMD_STORE | CMD_STOP)   \
	X(attach, "attach", TOPIC_RUN, "[CONTAINER]", "connect this terminal to a container", CMD_STORE)                        \
	X(wait, "wait", TOPIC_RUN, "[CONTAINER...]", "wait for the end and print exit codes", CMD_STORE)                        \
	X(events, "events", TOPIC_SYSTEM, "", "follow what happens to containers, images, volumes and networks", CMD_STORE)     \
	X(inspect, "inspect", TOPIC_RUN, "NAME...", "everything known about containers, images, volumes or networks, as JSON",  \
	  CMD_STORE)                                                                                                            \
	X(pause, "pause", TOPIC_RUN, "[CONTAINER...]", "let all processes of containers stand still", CMD_STORE)                \
	X(unpause, "unpause", TOPIC_RUN, "[CONTAINER...]", "let paused containers go on", CMD_STORE)                            \
	X(cp, "cp", TOPIC_RUN, "CONTAINER:PATH PATH|- | PATH|- CONTAINER:PATH", "copy files out of a container, or into it",    \
	  CMD_STORE)                                                                                                            \
	X(diff, "diff", TOPIC_RUN, "CONTAINER", "list what a container has changed in its files", CMD_STORE)                    \
	X(export, "export", TOPIC_RUN, "CONTAINER", "write all files of a container as a tar", CMD_STORE)                       \
	X(rename, "rename", TOPIC_RUN, "CONTAINER NEW_NAME", "give a container another name", CMD_STORE)                        \
	X(top, "top", TOPIC_RUN, "CONTAINER [PS_OPTION...]", "show the processes of a running container", CMD_STORE | CMD_STOP) \
	X(port, "port", TOPIC_RUN, "CONTAINER [PORT[/PROTOCOL]]", "list the published ports of a container", CMD_STORE)         \
	X(commit, "commit", TOPIC_IMAGE, "CONTAINER [NAME]", "make an image of what a container has changed", CMD_STORE)        \
	X(import, "import", TOPIC_IMAGE, "FILE|URL|- [NAME]", "make an image of a tar", CMD_STORE)                              \
	X(vm_inspect, "vm inspect", TOPIC_VM, "VM...", "a virtual machine: state, devices, memory, metrics", CMD_STORE)         \
	X(snapshot_create, "snapshot create", TOPIC_VM, "VM [SNAPSHOT]", "save a running virtual machine", CMD_STORE)           \
	X(snapshot_ls, "snapshot ls", TOPIC_VM, "", "list saved virtual machines", CMD_STORE)                                   \
	X(snapshot_inspect, "snapshot inspect", TOPIC_VM, "SNAPSHOT...", "all about saved virtual machines", CMD_STORE)         \
	X(snapshot_rm, "snapshot rm", TOPIC_VM, "SNAPSHOT...", "remove saved virtual machines", CMD_STORE)                      \
	X(restore, "restore", TOPIC_VM, "SNAPSHOT", "a new virtual machine that goes on from a saved one", CMD_STORE)           \
	X(fork, "fork", TOPIC_VM, "VM", "new virtual machines that go on beside a running one", CMD_STORE)                      \
	X(container_inspect, "container inspect", TOPIC_RUN, "CONTAINER...", "everything known about containers, as JSON",      \
	  CMD_STORE)                                                                                                            \
	X(container_exists, "container exists", TOPIC_RUN, "CONTAINER",                                                         \
	  "exit with 0 when there is such a container, else with 1", CMD_STORE)                                                 \
	X(container_prune, "container prune", TOPIC_RUN, "", "remove all containers that do not run", CMD_STORE)                \
	X(pod_create, "pod create", TOPIC_POD, "[NAME]", "create a pod: containers that share network, IPC and host name",      \
	  CMD_STORE)                                                                                                            \
	X(pod_ps, "pod ps", TOPIC_POD, "", "list pods", CMD_STORE)                                                              \
	X(pod_inspect, "pod inspect", TOPIC_POD, "POD...", "everything known about pods, as JSON", CMD_STORE)                   \
	X(pod_exists, "pod exists", TOPIC_POD, "POD", "exit with 0 when there is such a pod, else with 1", CMD_STORE)           \
	X(pod_start, "pod start", TOPIC_POD, "POD...", "start the containers of pods", CMD_STORE)                               \
	X(pod_stop, "pod stop", TOPIC_POD, "POD...", "ask the containers of pods to end, then kill them", CMD_STORE)            \
	X(pod_restart, "pod restart", TOPIC_POD, "POD...", "stop and start again", CMD_STORE)                                   \
	X(pod_kill, "pod kill", TOPIC_POD, "POD...", "send a signal to the containers of pods", CMD_STORE)                      \
	X(pod_pause, "pod pause", TOPIC_POD, "POD...", "hold all processes of pods", CMD_STORE)                                 \
	X(pod_unpause, "pod unpause", TOPIC_POD, "POD...", "let them go on", CMD_STORE)                                         \
	X(pod_rm, "pod rm", TOPIC_POD, "POD...", "remove pods with their containers", CMD_STORE)                                \
	X(pod_prune, "pod prune", TOPIC_POD, "", "remove all pods that do not run", CMD_STORE)                                  \
	X(volume_create, "volume create", TOPIC_VOLUME, "[NAME]", "make a volume: a directory that outlives containers",        \
	  CMD_STORE)                                                                                                            \
	X(volume_ls, "volume ls", TOPIC_VOLUME, "", "list volumes", CMD_STORE)                                                  \
	X(volume_inspect, "volume inspect", TOPIC_VOLUME, "VOLUME...", "everything known about volumes, as JSON", CMD_STORE)    \
	X(volume_exists, "volume exists", TOPIC_VOLUME, "VOLUME", "exit with 0 when there is such a volume, else with 1",       \
	  CMD_STORE)                                                                                                            \
	X(volume_rm, "volume rm", TOPIC_VOLUME, "VOLUME...", "remove volumes that no container uses", CMD_STORE)                \
	X(volume_prune, "volume prune", TOPIC_VOLUME, "", "remove volumes without a name that no container uses", CMD_STORE)    \
	X(network_create, "network create", TOPIC_NETWORK, "NAME", "make a network that containers talk over", CMD_STORE)       \
	X(network_ls, "network ls", TOPIC_NETWORK, "", "list networks", CMD_STORE)                                              \
	X(network_inspect, "network inspect", TOPIC_NETWORK, "NETWORK...", "everything known about networks, as JSON",          \
	  CMD_STORE)                                                                                                            \
	X(network_exists, "network exists", TOPIC_NETWORK, "NETWORK", "exit with 0 when there is such a network, else with 1",  \
	  CMD_STORE)                                                                                                            \
	X(network_connect, "network connect", TOPIC_NETWORK, "NETWORK CONTAINER", "put a container on one more network",        \
	  CMD_STORE)                                                                                                            \
	X(network_disconnect, "network disconnect", TOPIC_NETWORK, "NETWORK CONTAINER", "take a container off a network",       \
	  CMD_STORE)                                                                                                            \
	X(network_reload, "network reload", TOPIC_NETWORK, "[CONTAINER...]",                                                    \
	  "give running containers anew what somebody has flushed of their networks", CMD_STORE)                                \
	X(network_rm, "network rm", TOPIC_NETWORK, "NETWORK...", "remove networks that no container is on", CMD_STORE)          \
	X(network_prune, "network prune", TOPIC_NETWORK, "", "remove all networks that no container is on", CMD_STORE)          \
	X(secret_create, "secret create", TOPIC_SYSTEM, "NAME FILE|-", "keep a secret that containers can be given", CMD_STORE) \
	X(secret_ls, "secret ls", TOPIC_SYSTEM, "", "list secrets", CMD_STORE)                                                  \
	X(secret_inspect, "secret inspect", TOPIC_SYSTEM, "SECRET...", "all about secrets but what is secret, as JSON",         \
	  CMD_STORE)                                                                                                            \
	X(secret_exists, "secret exists", TOPIC_SYSTEM, "SECRET", "exit with 0 when there is such a secret, else with 1",       \
	  CMD_STORE)                                                                                                            \
	X(secret_rm, "secret rm", TOPIC_SYSTEM, "[SECRET...]", "remove secrets", CMD_STORE)                                     \
	X(images, "images", TOPIC_IMAGE, "[NAME]", "list images", CMD_STORE)                                                    \
	X(pull, "pull", TOPIC_IMAGE, "IMAGE", "fetch an image from a registry", CMD_STORE)                                      \
	X(push, "push", TOPIC_IMAGE, "IMAGE [DESTINATION]", "send an image to a registry", CMD_STORE)                           \
	X(search, "search", TOPIC_IMAGE, "[REGISTRY/]TERM", "look for images in a registry", CMD_STORE)                         \
	X(login, "login", TOPIC_IMAGE, "[REGISTRY]", "let a registry know who you are", CMD_STORE)                              \
	X(logout, "logout", TOPIC_IMAGE, "[REGISTRY]", "forget the password for a registry", CMD_STORE)                         \
	X(rmi, "rmi", TOPIC_IMAGE, "[IMAGE...]", "remove images", CMD_STORE)                                                    \
	X(tag, "tag", TOPIC_IMAGE, "IMAGE NEW_NAME", "give an image one more name", CMD_STORE)                                  \
	X(load, "load", TOPIC_IMAGE, "", "read images from an archive or an OCI layout", CMD_STORE)                             \
	X(save, "save", TOPIC_IMAGE, "IMAGE...", "write images to an archive or an OCI layout", CMD_STORE)                      \
	X(image_inspect, "image inspect", TOPIC_IMAGE, "IMAGE...", "everything known about images, as JSON", CMD_STORE)         \
	X(image_exists, "image exists", TOPIC_IMAGE, "IMAGE", "exit with 0 when there is that image, else with 1", CMD_STORE)   \
	X(history, "history", TOPIC_IMAGE, "IMAGE", "how an image came about, step by step", CMD_STORE)                         \
	X(image_prune, "image prune", TOPIC_IMAGE, "", "remove untagged images and files that nothing uses", CMD_STORE)         \
	X(kernel_ls, "kernel ls", TOPIC_SYSTEM, "", "list the kernels that virtual machines can boot", CMD_STORE)               \
	X(kernel_build, "kernel build", TOPIC_SYSTEM, "", "build a kernel for virtual machines", CMD_STORE)                     \
	X(kernel_use, "kernel use", TOPIC_SYSTEM, "KERNEL", "choose what virtual machines boot by default", CMD_STORE)          \
	X(kernel_rm, "kernel rm", TOPIC_SYSTEM, "KERNEL...", "remove kernels", CMD_STORE)                                       \
	X(kernel_inspect, "kernel inspect", TOPIC_SYSTEM, "KERNEL...", "everything known about kernels, as JSON", CMD_STORE)    \
	X(info, "info", TOPIC_SYSTEM, "", "what this host offers and what Berth holds", CMD_STORE)                              \
	X(doctor, "doctor", TOPIC_SYSTEM, "", "what this host lacks for containers and VMs, and what to do about it", 0)        \
	X(audit, "audit", TOPIC_SYSTEM, "IMAGE|CONTAINER", "what stands between a workload and the host, probed from inside",   \
	  CMD_STORE)                                                                                                            \
	X(compare, "compare", TOPIC_SYSTEM, "IMAGE [COMMAND [ARG...]]",                                                         \
	  "measure an image as a container and as a virtual machine, side by side", CMD_STOP)                                   \
	X(version, "version", TOPIC_SYSTEM, "", "the version of Berth", 0)                                                      \
	X(system_check, "system check", TOPIC_SYSTEM, "", "find damaged objects and leftovers, and repair them", CMD_STORE)     \
	X(system_df, "system df", TOPIC_SYSTEM, "", "what images, containers and volumes take of the disk", CMD_STORE)          \
	X(system_prune, "system prune", TOPIC_SYSTEM, "", "container prune, network prune and image prune in one", CMD_STORE)   \
	X(completion, "completion", TOPIC_SYSTEM, "SHELL", "print completion for bash, zsh or fish", 0)                         \
	X(complete, "__complete", TOPIC_SYSTEM, "WORD...", "say what could stand behind the words", CMD_HIDDEN)                 \
	X(man, "__man", TOPIC_SYSTEM, "COMMAND TEMPLATE", "print a man page's source", CMD_HIDDEN)

/* Other words for the same verbs, as docker's management commands have them. */
/* clang-format off */
#define COMMAND_ALIASES(A)              \
	A("container run", run)         \
	A("container create", create)   \
	A("container start", start)     \
	A("container stop", stop)       \
	A("container restart", restart) \
	A("container kill", kill)       \
	A("container update", update)   \
	A("container rm", rm)           \
	A("container ls", ps)           \
	A("container list", ps)         \
	A("container ps", ps)           \
	A("container stats", stats)     \
	A("container logs", logs)       \
	A("container exec", exec)       \
	A("container attach", attach)   \
	A("container wait", wait)       \
	A("container pause", pause)     \
	A("container unpause", unpause) \
	A("container cp", cp)           \
	A("container diff", diff)       \
	A("container commit", commit)   \
	A("image import", import)       \
	A("container export", export)   \
	A("container rename", rename)   \
	A("container top", top)         \
	A("container port", port)       \
	A("snapshot list", snapshot_ls) \
	A("kernel list", kernel_ls)     \
	A("pod ls", pod_ps)             \
	A("pod list", pod_ps)           \
	A("secret list", secret_ls)     \
	A("secret remove", secret_rm)   \
	A("network list", network_ls)   \
	A("network remove", network_rm) \
	A("volume list", volume_ls)     \
	A("volume remove", volume_rm)   \
	A("image ls", images)           \
	A("image list", images)         \
	A("image pull", pull)           \
	A("image push", push)           \
	A("image search", search)       \
	A("image rm", rmi)              \
	A("image tag", tag)             \
	A("image history", history)     \
	A("image load", load)           \
	A("image save", save)           \
	A("system events", events)      \
	A("system info", info)          \
	A("system doctor", doctor)
/* clang-format on */

struct cli;
struct command {
	const char *name;
	enum topic topic;
	const char *operands, *summary;
	unsigned flags;
	const struct opt *options;
	int (*run)(struct cli *c, struct err *e); /* exit status, or -errno with e */
};
extern const struct command commands[];
extern const size_t n_commands;
struct command_alias {
	const char *words;
	const struct command *command;
};
extern const struct command_alias command_aliases[];
extern const size_t n_command_aliases;
extern const struct opt global_options[];

#define X(fn, words, topic, operands, summary, flags) \
	extern const struct opt fn##_options[];       \
	int cmd_##fn(struct cli *c, struct err *e);
COMMANDS(X)
#undef X
