#include "runtime_spec.h"

#include <linux/capability.h>

#include "tap.h"

static struct err E;

static int parse(const char *text, struct spec *s)
{
	E = (struct err){};
	return spec_parse(text, strlen(text), s, &E);
}

/* Every property that this build knows, once. */
#define FULL                                                                                                                     \
	"{\"ociVersion\":\"1.2.0\",\"process\":{\"terminal\":true,\"consoleSize\":{\"height\":24,\"width\":80},"                 \
	"\"user\":{\"uid\":1000,\"gid\":1001,\"umask\":18,\"additionalGids\":[5,4294967294],\"username\":\"web:www\"},"          \
	"\"args\":[\"sh\",\"-c\",\"x\"],\"env\":[\"A=1\",\"B=\"],\"cwd\":\"/srv\","                                              \
	"\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_KILL\"],\"effective\":[\"CAP_KILL\"],\"inheritable\":[],"           \
	"\"permitted\":[\"CAP_KILL\"],\"ambient\":[]},"                                                                          \
	"\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":18446744073709551615}],\"noNewPrivileges\":true,"            \
	"\"oomScoreAdj\":-500,\"apparmorProfile\":\"p\",\"selinuxLabel\":\"l\","                                                 \
	"\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"nice\":1,\"flags\":[\"SCHED_FLAG_RESET_ON_FORK\",\"SCHED_FLAG_"          \
	"RECLAIM\"],"                                                                                                            \
	"\"runtime\":1,\"deadline\":2,\"period\":3},\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\",\"priority\":4},"            \
	"\"execCPUAffinity\":{\"initial\":\"7\",\"final\":\"0-3,7\"}},"                                                          \
	"\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"h\",\"domainname\":\"d\","                              \
	"\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\",\"options\":[\"nosuid\"],"                 \
	"\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1}],\"gidMappings\":[{\"containerID\":0,\"hostID\":1000,"  \
	"\"size\":1}]}],"                                                                                                        \
	"\"hooks\":{\"prestart\":[{\"path\":\"/"                                                                                 \
	"a\",\"args\":[\"a\"],\"env\":[\"K=v\"],\"timeout\":3}],\"poststop\":[{\"path\":\"/b\"}]},"                              \
	"\"annotations\":{\"k\":\"v\"},"                                                                                         \
	"\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"network\",\"path\":\"/proc/1/ns/net\"}," \
	"{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"user\"},{\"type\":\"cgroup\"},{\"type\":\"time\"}],"                  \
	"\"timeOffsets\":{\"monotonic\":{\"secs\":172800},\"boottime\":{\"secs\":-1,\"nanosecs\":7}},"                           \
	"\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],\"gidMappings\":[{\"containerID\":0,\"hostID\":" \
	"100000,\"size\":65536}],"                                                                                               \
	"\"devices\":[{\"path\":\"/dev/x\",\"type\":\"c\",\"major\":1,\"minor\":3,\"fileMode\":438,\"uid\":1,\"gid\":2}],"       \
	"\"cgroupsPath\":\"/berth/x\","                                                                                          \
	"\"resources\":{\"devices\":[{\"allow\":false,\"type\":\"a\",\"major\":-1,\"minor\":-1,\"access\":\"rwm\"}],"            \
	"\"memory\":{\"limit\":1048576,\"reservation\":2,\"swap\":2097152,\"kernel\":-1,\"kernelTCP\":5,\"swappiness\":0,"       \
	"\"disableOOMKiller\":"                                                                                                  \
	"true,\"useHierarchy\":true,\"checkBeforeUpdate\":true},"                                                                \
	"\"cpu\":{\"shares\":1024,\"quota\":-1,\"period\":100000,\"burst\":0,\"realtimeRuntime\":1,\"realtimePeriod\":2,"        \
	"\"idle\":0,\"cpus\":\"0-1\",\"mems\":\"0\"},"                                                                           \
	"\"pids\":{\"limit\":0},"                                                                                                \
	"\"blockIO\":{\"weight\":500,\"leafWeight\":20,\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":30,\"leafWeight\":" \
	"40},{\"major\":8,\"minor\":1}],\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1}],"                       \
	"\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":2}],\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":"  \
	"0,\"rate\":3}],"                                                                                                        \
	"\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":4}]},"                                                   \
	"\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":9}],\"network\":{\"classID\":0,\"priorities\":[{\"name\":\"eth0\"," \
	"\"priority\":3}]},\"rdma\":{\"mlx\":{\"hcaHandles\":3,\"hcaObjects\":0},\"mly\":{}},\"unified\":{\"memory.high\":"      \
	"\"1\"}},"                                                                                                               \
	"\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"architectures\":[\"SCMP_ARCH_X86_64\"],"     \
	"\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],\"listenerPath\":\"/s\",\"listenerMetadata\":\"m\","                            \
	"\"syscalls\":[{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,"        \
	"\"valueTwo\":1,"                                                                                                        \
	"\"op\":\"SCMP_CMP_MASKED_EQ\"}]},{\"names\":[\"x\",\"y\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":0}]},"             \
	"\"rootfsPropagation\":\"rprivate\",\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[\"/proc/sys\"],"                \
	"\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"},\"mountLabel\":\"c\",\"intelRdt\":{\"closID\":\"/"                           \
	"\",\"l3CacheSchema\":\"L3:0=1\",\"memBwSchema\":\"MB:0=20\",\"schemata\":[\"L2:0=f\"],\"enableMonitoring\":true,"       \
	"\"enableCMT\":true,\"enableMBM\":true},\"personality\":{\"domain\":\"LINUX32\"},"                                       \
	"\"netDevices\":{\"eth0\":{\"name\":\"c%d\"},\"eth1\":{}},\"memoryPolicy\":{\"mode\":\"MPOL_INTERLEAVE\",\"nodes\":\"2-" \
	"3\",\"flags\":[\"MPOL_F_STATIC_NODES\"]}}}"

TEST(a_config_with_every_property_survives_a_round_trip)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct spec s;

	if (parse(FULL, &s) < 0)
		TAP_FAIL("%s", E.msg);
	o = spec_json(&s);
	is_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), FULL);
	ok(s.process.rlimits[0].hard == UINT64_MAX);
	is_str(s.ns.path[NS_NET], "/proc/1/ns/net");
	is_int(s.process.caps.bounding, 1 << CAP_CHOWN | 1 << CAP_KILL);
	ok(s.hooks.list[HOOK_POSTSTOP][0].timeout_s == SPEC_UNSET);
	spec_done(&s);
}

#define BARE "{\"ociVersion\":\"1.0.2-dev\",\"root\":{\"path\":\"r\"}}"

TEST(what_is_absent_reads_as_unset)
{
	struct spec s;

	is_int(parse(BARE, &s), 0);
	ok(s.resources.memory_limit == SPEC_UNSET && s.resources.pids_limit == SPEC_UNSET && s.resources.cpu_quota == SPEC_UNSET);
	ok(s.process.oom_score_adj == SPEC_UNSET && !s.process.has_caps && !s.seccomp && !s.ns.wanted[NS_PID]);
	spec_done(&s);
	is_int(parse("{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{\"resources\":{\"devices\":[{\"allow\":true}"
		     "]}}}",
		     &s),
	       0);
	is_int(s.resources.devices[0].type, 'a');
	is_int(s.resources.devices[0].major, -1);
	is_str(s.resources.devices[0].access, "rwm");
	spec_done(&s);
}

#define TOP(rest)     "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"}," rest "}"
#define PROC(rest)    TOP("\"process\":{\"args\":[\"a\"],\"cwd\":\"/\"," rest "}")
#define LINUX(rest)   TOP("\"linux\":{" rest "}")
#define NET           "\"namespaces\":[{\"type\":\"network\"}]"
#define RES(rest)     LINUX("\"resources\":{" rest "}")
#define SECCOMP(rest) LINUX("\"seccomp\":{" rest "}")

TEST(every_error_names_its_path)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "[]", "expected an object, found an array" },
		{ "{}", ".ociVersion: missing" },
		{ "{\"ociVersion\":\"2.0.0\",\"root\":{\"path\":\"r\"}}", ".ociVersion: expected 1.x, found \"2.0.0\"" },
		{ "{\"ociVersion\":\"1.\",\"root\":{\"path\":\"r\"}}", ".ociVersion: expected 1.x" },
		{ "{\"ociVersion\":\"1.2.0\"}", ".root: missing" },
		{ "{\"ociVersion\":\"1.2.0\",\"root\":{}}", ".root.path: missing" },
		{ TOP("\"hostname\":\"x\""), ".hostname: needs a namespace of type \"uts\"" },
		{ TOP("\"hostname\":5"), ".hostname: expected a string, found 5" },
		{ TOP("\"process\":{}"), ".process.cwd: missing" },
		{ TOP("\"process\":{\"cwd\":\"/\"}"), ".process.args: expected at least the program" },
		{ TOP("\"process\":{\"cwd\":\"/\",\"args\":[]}"), ".process.args: expected at least the program" },
		{ TOP("\"process\":{\"cwd\":\"x\",\"args\":[\"a\"]}"), ".process.cwd: expected an absolute path, found \"x\"" },
		{ PROC("\"env\":[\"A=1\",\"B\"]"), ".process.env[1]: expected NAME=VALUE, found \"B\"" },
		{ PROC("\"user\":{\"uid\":4294967296}"),
		  ".process.user.uid: expected a whole number from 0 to 4294967295, found 4294967296" },
		{ PROC("\"user\":{\"uid\":4294967295}"), ".process.user: 4294967295 is not" },
		{ PROC("\"user\":{\"additionalGids\":[1,-2]}"), ".process.user.additionalGids[1]: expected a group id" },
		{ PROC("\"user\":{\"umask\":512}"), ".process.user.umask: 512 is above" },
		{ PROC("\"capabilities\":{\"bounding\":[\"CAP_KILL\",5]}"),
		  ".process.capabilities.bounding[1]: expected a capability such as \"CAP_CHOWN\", found 5" },
		{ PROC("\"capabilities\":{\"ambient\":\"CAP_KILL\"}"), ".process.capabilities.ambient: expected an array" },
		{ PROC("\"commandLine\":\"a b\""), ".process.commandLine: is for Windows: give the words as args" },
		{ PROC("\"capabilities\":[]"), ".process.capabilities: expected an object" },
		{ PROC("\"rlimits\":[{\"type\":\"RLIMIT_X\",\"soft\":1,\"hard\":1}]"),
		  ".process.rlimits[0].type: \"RLIMIT_X\" is not" },
		{ PROC("\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1}]"),
		  ".process.rlimits[0].soft: 2 is above the hard limit, 1" },
		{ PROC("\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},{\"type\":\"RLIMIT_CPU\",\"soft\":1,"
		       "\"hard\":1}]"),
		  ".process.rlimits[1].type: RLIMIT_CPU is given twice" },
		{ PROC("\"oomScoreAdj\":1001"), ".process.oomScoreAdj: expected -1000 to 1000, found 1001" },
		{ PROC("\"scheduler\":{\"nice\":1}"), ".process.scheduler.policy: missing" },
		{ PROC("\"scheduler\":{\"policy\":\"FIFO\"}"),
		  ".process.scheduler.policy: expected one of SCHED_OTHER, SCHED_FIFO" },
		{ PROC("\"scheduler\":{\"policy\":\"SCHED_FIFO\"}"), ".process.scheduler.priority: expected 1 to 99, found 0" },
		{ PROC("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"priority\":1}"), ".process.scheduler.priority: expected 0" },
		{ PROC("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":-21}"),
		  ".process.scheduler.nice: expected -20 to 19" },
		{ PROC("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"runtime\":1}"), ".process.scheduler: runtime, deadline and" },
		{ PROC("\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":3,\"deadline\":2}"),
		  ".process.scheduler: SCHED_DEADLINE needs 0 < runtime <= deadline <= period, found 3, 2, 0" },
		{ PROC("\"scheduler\":{\"policy\":\"SCHED_IDLE\",\"flags\":[\"SCHED_FLAG_RECLAIM\",\"X\"]}"),
		  ".process.scheduler.flags[1]: expected one of SCHED_FLAG_RESET_ON_FORK" },
		{ PROC("\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\"}"), ".process.ioPriority.priority: missing" },
		{ PROC("\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}"),
		  ".process.ioPriority.priority: expected 0 (highest) to 7, found 8" },
		{ PROC("\"ioPriority\":{\"class\":\"BE\",\"priority\":1}"),
		  ".process.ioPriority.class: expected one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE, found "
		  "\"BE\"" },
		{ PROC("\"execCPUAffinity\":{\"initial\":\"3-1\"}"), ".process.execCPUAffinity.initial: expected numbers below" },
		{ PROC("\"execCPUAffinity\":{\"final\":\"1,\"}"), ".process.execCPUAffinity.final: expected numbers below" },
		{ LINUX("\"personality\":{\"domain\":\"BSD\"}"), ".linux.personality.domain: expected one of LINUX, LINUX32" },
		{ LINUX("\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"X\"]}"), ".linux.personality.flags: not supported" },
		{ LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_LOCAL\",\"nodes\":\"0\"}"),
		  ".linux.memoryPolicy.nodes: MPOL_DEFAULT and" },
		{ LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_BIND\"}"), ".linux.memoryPolicy.nodes: this mode needs nodes" },
		{ LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"8192\"}"),
		  ".linux.memoryPolicy.nodes: expected numbers" },
		{ LINUX("\"memoryPolicy\":{\"mode\":\"X\"}"), ".linux.memoryPolicy.mode: expected one of MPOL_DEFAULT" },
		{ LINUX("\"timeOffsets\":{\"monotonic\":{\"secs\":1}}"),
		  ".linux.timeOffsets: needs a new namespace of type \"time\"" },
		{ LINUX("\"timeOffsets\":{\"realtime\":{\"secs\":1}}"), ".linux.timeOffsets.realtime: " },
		{ LINUX("\"timeOffsets\":{\"boottime\":{\"nanosecs\":1000000000}}"),
		  ".linux.timeOffsets.boottime.nanosecs: expected 0 to 999999999" },
		{ TOP("\"domainname\":\"x\""), ".domainname: needs a namespace of type \"uts\"" },
		{ TOP("\"mounts\":[{\"destination\":\"\"}]"), ".mounts[0].destination: expected a path, found \"\"" },
		{ TOP("\"mounts\":[{\"destination\":\"/\",\"options\":[5]}]"),
		  ".mounts[0].options[0]: expected a string, found 5" },
		{ TOP("\"mounts\":[{\"destination\":\"/\",\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1}]}]"),
		  ".mounts[0]: uidMappings and gidMappings go together" },
		{ TOP("\"hooks\":{\"poststart\":[{\"path\":\"x\"}]}"), ".hooks.poststart[0].path: expected an absolute path" },
		{ TOP("\"hooks\":{\"startContainer\":[{\"path\":\"/x\",\"timeout\":0}]}"),
		  ".hooks.startContainer[0].timeout: expected seconds above 0" },
		{ TOP("\"windows\":{\"layerFolders\":[\"x\"]}"), ".windows: is for another system, and this is Linux" },
		{ TOP("\"solaris\":{\"milestone\":\"x\"}"), ".solaris: is for another system" },
		{ TOP("\"freebsd\":{\"devices\":[{}]}"), ".freebsd: is for another system" },
		{ TOP("\"zos\":{\"namespaces\":[{}]}"), ".zos: is for another system" },
		{ TOP("\"vm\":{\"kernel\":{\"path\":\"/k\"}}"),
		  ".vm: not supported: machine, kernel and disks are Berth's choice" },
		{ LINUX("\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mnt\"}]"),
		  ".linux.namespaces[1].type: \"mnt\" is not a namespace" },
		{ LINUX("\"namespaces\":[{},{\"type\":5}]"), ".linux.namespaces[0].type: missing" },
		{ LINUX("\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":5}]"),
		  ".linux.namespaces[3].type: expected a string, found 5" },
		{ LINUX("\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]"),
		  ".linux.namespaces[1].type: pid is given twice" },
		{ LINUX("\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]"),
		  ".linux.namespaces[0].path: expected an absolute path" },
		{ LINUX("\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1}]"),
		  ".linux.uidMappings: id mappings need" },
		{ LINUX("\"namespaces\":[{\"type\":\"user\"}],\"uidMappings\":[{\"containerID\":0,\"hostID\":4294967295,\"size\":"
			"2}]"),
		  ".linux.uidMappings[0]: the range goes beyond" },
		{ LINUX("\"namespaces\":[{\"type\":\"user\"}],\"gidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":0}]"),
		  ".linux.gidMappings[0].size: expected at least 1" },
		{ LINUX("\"namespaces\":[{\"type\":\"user\"}],\"gidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":5},"
			"{\"containerID\":4,\"hostID\":10,\"size\":1}]"),
		  ".linux.gidMappings[1]: overlaps with range 0" },
		{ LINUX("\"devices\":[{\"path\":\"x\",\"type\":\"c\"}]"), ".linux.devices[0].path: expected an absolute path" },
		{ LINUX("\"devices\":[{\"path\":\"/x\",\"type\":\"d\"}]"),
		  ".linux.devices[0].type: expected \"c\", \"b\", \"u\" or \"p\", found \"d\"" },
		{ LINUX("\"devices\":[{\"path\":\"/x\",\"type\":\"c\",\"major\":4096,\"minor\":0}]"),
		  ".linux.devices[0]: 4096:0 is not a device number" },
		{ LINUX("\"maskedPaths\":[\"/a\",\"b\"]"), ".linux.maskedPaths[1]: expected an absolute path" },
		{ LINUX("\"readonlyPaths\":[\"b\"]"), ".linux.readonlyPaths[0]: expected an absolute path" },
		{ LINUX("\"rootfsPropagation\":\"public\""), ".linux.rootfsPropagation: \"public\" is none of" },
		{ LINUX("\"mountLabel\":5"), ".linux.mountLabel: expected a string, found 5" },
		{ LINUX("\"intelRdt\":{\"closID\":\"a/b\"}"), ".linux.intelRdt.closID: \"a/b\" is neither" },
		{ LINUX("\"intelRdt\":{\"closID\":\"..\"}"), ".linux.intelRdt.closID: \"..\" is neither" },
		{ LINUX("\"intelRdt\":{\"memBwSchema\":\"L3:0=1\"}"), ".linux.intelRdt.memBwSchema: expected MB:..., found" },
		{ LINUX("\"intelRdt\":{\"schemata\":[\"a\\nb\"]}"), ".linux.intelRdt.schemata: expected one line" },
		{ LINUX("\"netDevices\":{\"eth0\":{}}"), ".linux.netDevices: needs a namespace of type \"network\"" },
		{ LINUX(NET ",\"netDevices\":{\"e/h\":{}}"), ".linux.netDevices: \"e/h\" is not the name" },
		{ LINUX(NET ",\"netDevices\":{\"e%d\":{}}"), ".linux.netDevices: \"e%d\" is not the name" },
		{ LINUX(NET ",\"netDevices\":{\"e\":{\"name\":\"sixteen-and-more\"}}"),
		  ".linux.netDevices[\"e\"].name: \"sixteen-and" },
		{ LINUX(NET ",\"netDevices\":{\"e\":{\"name\":\"%s\"}}"), ".linux.netDevices[\"e\"].name: \"%s\" is not" },
		{ LINUX(NET ",\"netDevices\":{\"e\":{\"name\":5}}"),
		  ".linux.netDevices[\"e\"].name: expected a string, found 5" },
		{ LINUX(NET ",\"netDevices\":{\"a\":{\"name\":\"e\"},\"e\":{}}"),
		  ".linux.netDevices[\"e\"].name: e is given twice" },
		{ LINUX("\"sysctl\":{\"a\":1}"), ".linux.sysctl[\"a\"]: expected a string, found 1" },
		{ RES("\"devices\":[{}]"), ".linux.resources.devices[0].allow: missing" },
		{ RES("\"devices\":[{\"allow\":true,\"type\":\"x\"}]"), ".linux.resources.devices[0].type: expected" },
		{ RES("\"devices\":[{\"allow\":true,\"access\":\"rx\"}]"), ".linux.resources.devices[0].access: expected" },
		{ RES("\"devices\":[{\"allow\":true,\"major\":-2}]"), ".linux.resources.devices[0]: device numbers" },
		{ RES("\"memory\":{\"limit\":\"1g\"}"),
		  ".linux.resources.memory.limit: expected a whole number of 64 bits, found \"1g\"" },
		{ RES("\"memory\":{\"swappiness\":101}"), ".linux.resources.memory.swappiness: expected 0 to 100, found 101" },
		{ RES("\"memory\":{\"limit\":10,\"swap\":9}"), ".linux.resources.memory.swap: 9 is memory plus swap" },
		{ RES("\"memory\":{\"useHierarchy\":1}"), ".linux.resources.memory.useHierarchy: expected" },
		{ RES("\"memory\":{\"kernelTCP\":-2}"), ".linux.resources.memory.kernelTCP: expected -1 to" },
		{ RES("\"cpu\":{\"realtimePeriod\":-5}"), ".linux.resources.cpu.realtimePeriod: expected 0 to" },
		{ RES("\"cpu\":{\"period\":1000001}"), ".linux.resources.cpu.period: expected 0 to 1000000" },
		{ RES("\"pids\":{\"limit\":-2}"), ".linux.resources.pids.limit: expected -1 to" },
		{ RES("\"blockIO\":{\"weight\":1001}"), ".linux.resources.blockIO.weight: expected 0 to 1000" },
		{ RES("\"blockIO\":{\"weightDevice\":[{}]}"), ".linux.resources.blockIO.weightDevice[0].major: missing" },
		{ RES("\"blockIO\":{\"leafWeight\":1001}"), ".linux.resources.blockIO.leafWeight: expected 0 to 1000" },
		{ RES("\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":5}]}"),
		  ".linux.resources.blockIO.weightDevice[0].weight: expected 10 to 1000, found 5" },
		{ RES("\"network\":{\"priorities\":[{\"name\":\"a b\",\"priority\":1}]}"),
		  ".linux.resources.network.priorities[0].name: \"a b\" is not" },
		{ RES("\"rdma\":{\"m\":{\"hcaHandles\":-1}}"), ".linux.resources.rdma[\"m\"].hcaHandles: expected" },
		{ RES("\"rdma\":{\"m\\n\":{}}"), ".linux.resources.rdma: \"m?\" is not a device's name" },
		{ RES("\"rdma\":[]"), ".linux.resources.rdma: expected an object" },
		{ RES("\"unified\":{\"../x\":\"1\"}"), ".linux.resources.unified: \"../x\" is not the name" },
		{ RES("\"network\":{\"classID\":-1}"), ".linux.resources.network.classID: expected" },
		{ SECCOMP(""), ".linux.seccomp.defaultAction: missing" },
		{ SECCOMP("\"defaultAction\":\"ALLOW\""), ".linux.seccomp.defaultAction: \"ALLOW\" is not" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]"), ".linux.seccomp.flags[0]: \"X\" is not" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1"),
		  ".linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW has none" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":\"SCMP_ACT_LOG\","
			  "\"errnoRet\":1}]"),
		  ".linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_LOG has none" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerMetadata\":\"x\""),
		  ".linux.seccomp.listenerMetadata: needs a listenerPath" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"x\""),
		  ".linux.seccomp.listenerPath: expected an absolute path" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":4096"),
		  ".linux.seccomp.defaultErrnoRet: 4096 is not an errno" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[],\"action\":\"SCMP_ACT_ALLOW\"}]"),
		  ".linux.seccomp.syscalls[0].names: expected at least one" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":\"X\"}]"),
		  ".linux.seccomp.syscalls[0].action: \"X\" is not" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":\"SCMP_ACT_LOG\","
			  "\"args\":"
			  "[{\"index\":6,\"value\":0,\"op\":\"SCMP_CMP_EQ\"}]}]"),
		  ".linux.seccomp.syscalls[0].args[0].index: system calls have" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":\"SCMP_ACT_LOG\","
			  "\"args\":"
			  "[{\"index\":5,\"value\":0,\"op\":\"EQ\"}]}]"),
		  ".linux.seccomp.syscalls[0].args[0].op: \"EQ\" is not" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec s;
		if (parse(rows[i].text, &s) == 0)
			TAP_FAIL("accepted: %s", rows[i].text);
		if (!strstr(E.msg, rows[i].why))
			TAP_FAIL("%s -> %s (expected: %s)", rows[i].text, E.msg, rows[i].why);
		ok(strncmp(E.msg, "config.json: ", 13) == 0);
	}
}

TEST(a_capability_without_a_meaning_is_a_warning)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct spec s;

	is_int(parse(PROC("\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_FLY\"],\"ambient\":[\"ALL\",\"CAP_ALL\",\"cap_"
			  "kill\"]}"),
		     &s),
	       0);
	is_int(strv_len(s.process.warnings), 4);
	is_str(s.process.warnings[0],
	       ".process.capabilities.bounding[1]: \"CAP_FLY\" is no capability that this build knows, and is left out");
	ok(s.process.caps.bounding == 1 << CAP_KILL && s.process.caps.ambient == 0);
	o = spec_json(&s);
	ok(!strstr(json_object_to_json_string(o), "FLY"));
	spec_done(&s);
}

TEST(an_unknown_property_is_ignored_with_a_warning_that_names_its_path)
{
	static const char *const rows[][2] = {
		{ TOP("\"foo\":{\"bar\":1}"), ".foo" },
		{ TOP("\"annotations\":{\"foo\":\"1\"},\"hostnam\":null"), ".hostnam" },
		{ TOP("\"linux\":{\"foo\":1}"), ".linux.foo" },
		{ TOP("\"mounts\":[{\"destination\":\"/a\"},{\"destination\":\"/b\",\"opt\":[]}]"), ".mounts[1].opt" },
		{ TOP("\"linux\":{\"namespaces\":[{\"type\":\"network\",\"foo\":1}]}"), ".linux.namespaces[0].foo" },
		{ TOP("\"linux\":{\"namespaces\":[{\"type\":\"network\"}],\"netDevices\":{\"eth0\":{\"names\":\"x\"}}}"),
		  ".linux.netDevices[\"eth0\"].names" },
		{ TOP("\"linux\":{\"resources\":{\"rdma\":{\"mlx5\":{\"hca\":1}}}}"), ".linux.resources.rdma[\"mlx5\"].hca" },
		{ TOP("\"linux\":{\"resources\":{\"memory\":{\"limits\":1}}}"), ".linux.resources.memory.limits" },
		{ SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"comment\":\"\",\"names\":[\"a\"],\"action\":"
			  "\"SCMP_ACT_LOG\"}]"),
		  ".linux.seccomp.syscalls[0].comment" },
		{ PROC("\"capabilities\":{\"bound\":[]}"), ".process.capabilities.bound" },
		{ PROC("\"user\":{\"uid\":1,\"name\":\"x\"}"), ".process.user.name" },
	};
	_cleanup_free_ char *wanted = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec s;

		is_int(parse(rows[i][0], &s), 0);
		is_int(strv_len(s.process.warnings), 1);
		free(wanted);
		wanted = str_fmt("%s: unknown property, ignored", rows[i][1]);
		is_str(s.process.warnings[0], wanted);
		spec_done(&s);
	}
}

TEST(many_unknown_properties_are_counted_not_listed)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct spec s;

	buf_str(&text, "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\"}");
	for (int i = 0; i < 1000; i++)
		buf_fmt(&text, ",\"x%d\":0", i);
	buf_str(&text, "}");
	is_int(parse(text.data, &s), 0);
	is_int(strv_len(s.process.warnings), 17);
	is_str(s.process.warnings[15], ".x15: unknown property, ignored");
	is_str(s.process.warnings[16], "984 more unknown properties, ignored");
	spec_done(&s);
}

TEST(what_this_build_writes_has_no_property_unknown_to_it)
{
	struct spec s, again;
	_cleanup_json_ struct json_object *o = NULL;

	is_int(parse(FULL, &s), 0);
	is_int(strv_len(s.process.warnings), 0);
	o = spec_json(&s);
	is_int(parse(json_object_to_json_string(o), &again), 0);
	is_int(strv_len(again.process.warnings), 0);
	spec_done(&s);
	spec_done(&again);
}

TEST(a_relative_destination_is_below_the_root)
{
	struct spec s;

	is_int(parse(TOP("\"mounts\":[{\"destination\":\"proc\",\"type\":\"proc\"},{\"destination\":\"./x\"}]"), &s), 0);
	is_str(s.mounts[0].destination, "/proc");
	is_str(s.mounts[1].destination, "/./x");
	spec_done(&s);
}

TEST(R24_a_map_of_70_kilobytes_is_refused_whole)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct spec s;

	buf_fmt(&b, "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{\"namespaces\":[{\"type\":\"user\"}],"
		    "\"uidMappings\":[");
	for (unsigned i = 0; b.len < 70 * 1024; i++)
		buf_fmt(&b, "%s{\"containerID\":%u,\"hostID\":%u,\"size\":1}", i ? "," : "", i, 100000 + 2 * i);
	buf_fmt(&b, "]}}");
	ok(!b.failed && parse(b.data, &s) < 0);
	has_str(E.msg, ".linux.uidMappings: ");
	has_str(E.msg, "the kernel takes 340 at most");
}

TEST(refused_properties_are_fine_while_empty)
{
	struct spec s;

	is_int(parse(LINUX("\"mountLabel\":\"\",\"intelRdt\":{},\"resources\":{\"network\":{},\"rdma\":{}}"), &s), 0);
	spec_done(&s);
}

TEST(the_default_is_a_valid_config_and_survives_a_round_trip)
{
	_cleanup_json_ struct json_object *o = NULL, *again = NULL;
	struct spec s, t;

	is_int(spec_default(&s, &E), 0);
	is_int(strv_push(&s.process.args, "true"), 0);
	o = spec_json(&s);
	_cleanup_free_ char *text = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	if (parse(text, &t) < 0)
		TAP_FAIL("%s", E.msg);
	again = spec_json(&t);
	is_str(json_object_to_json_string_ext(again, JSON_C_TO_STRING_PLAIN), text);
	spec_done(&s);
	spec_done(&t);
}

TEST(the_default_grants_eleven_capabilities_and_none_to_inherit)
{
	struct spec s;

	is_int(spec_default(&s, &E), 0);
	is_int(__builtin_popcountll(s.process.caps.bounding), 11);
	ok(s.process.caps.effective == s.process.caps.bounding && s.process.caps.permitted == s.process.caps.bounding);
	ok(s.process.caps.inheritable == 0 && s.process.caps.ambient == 0);
	ok(!(s.process.caps.bounding & (UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_NET_RAW | UINT64_C(1) << CAP_MKNOD)));
	ok(!s.ns.wanted[NS_USER] && !s.ns.wanted[NS_TIME] && s.ns.wanted[NS_CGROUP]);
	is_int(s.process.n_rlimits, 0);
	is_int(s.resources.pids_limit, 2048);
	ok(!s.resources.devices[0].allow && s.resources.devices[0].type == 'a');
	spec_done(&s);
}

TEST(a_process_alone_is_read_and_written)
{
	_cleanup_json_ struct json_object *o = NULL, *back = NULL;
	static const char *const text = "{\"user\":{\"uid\":1,\"gid\":2},\"args\":[\"id\"],\"cwd\":\"/\"}";
	struct spec_process p;

	is_int(json_parse(text, strlen(text), "x", &o, &E), 0);
	is_int(spec_process_parse(o, &p, &E), 0);
	back = spec_process_json(&p);
	is_str(json_object_to_json_string_ext(back, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), text);
	spec_process_done(&p);
	json_object_object_del(o, "cwd");
	ok(spec_process_parse(o, &p, &E) < 0);
	is_str(E.msg, "process: .cwd: missing");
}

TEST(resources_alone_are_read_and_written)
{
	_cleanup_json_ struct json_object *o = NULL, *back = NULL;
	static const char *const text =
		"{\"memory\":{\"limit\":1048576},\"cpu\":{\"cpus\":\"0\"},\"rdma\":{\"m\":{\"hcaObjects\":2}}}";
	struct spec_resources r;

	is_int(json_parse(text, strlen(text), "x", &o, &E), 0);
	is_int(spec_resources_parse(o, &r, &E), 0);
	ok(r.memory_swap == SPEC_UNSET && r.pids_limit == SPEC_UNSET && !r.rdma[0].has_handles);
	back = spec_resources_json(&r);
	is_str(json_object_to_json_string_ext(back, JSON_C_TO_STRING_PLAIN), text);
	spec_resources_done(&r);
	json_object_object_add(o, "pids", json_object_new_int(5));
	ok(spec_resources_parse(o, &r, &E) < 0);
	is_str(E.msg, "resources: .pids: expected an object, found 5");
}

TEST(an_update_replaces_what_it_names)
{
	static const struct {
		const char *old, *update, *merged;
	} rows[] = {
		{ "{\"memory\":{\"limit\":10,\"swap\":20},\"pids\":{\"limit\":5}}", "{\"memory\":{\"limit\":12}}",
		  "{\"memory\":{\"limit\":12,\"swap\":20},\"pids\":{\"limit\":5}}" },
		{ "{\"memory\":{\"limit\":10,\"swap\":20}}", "{\"memory\":{\"limit\":-1}}",
		  "{\"memory\":{\"limit\":-1,\"swap\":-1}}" },
		{ "{\"cpu\":{\"shares\":7,\"idle\":1,\"cpus\":\"0\"}}",
		  "{\"cpu\":{\"shares\":0,\"idle\":0,\"cpus\":\"1\",\"mems\":\"\"}}",
		  "{\"cpu\":{\"shares\":7,\"idle\":0,\"cpus\":\"1\"}}" },
		{ "{\"memory\":{\"limit\":10,\"swap\":20}}", "{\"memory\":{\"limit\":30}}", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *o = NULL, *u = NULL, *back = NULL;
		struct spec_resources into, from;
		int r;
		is_int(json_parse(rows[i].old, strlen(rows[i].old), "x", &o, &E), 0);
		is_int(json_parse(rows[i].update, strlen(rows[i].update), "x", &u, &E), 0);
		is_int(spec_resources_parse(o, &into, &E), 0);
		is_int(spec_resources_parse(u, &from, &E), 0);
		r = spec_resources_merge(&into, &from, &E);
		back = spec_resources_json(&into);
		if (rows[i].merged)
			is_str(json_object_to_json_string_ext(back, JSON_C_TO_STRING_PLAIN), rows[i].merged);
		is_int(r, rows[i].merged ? 0 : -EINVAL);
		spec_resources_done(&into);
		spec_resources_done(&from);
	}
}

TEST(capability_names_go_both_ways)
{
	for (unsigned c = 0; c <= CAP_LAST_CAP; c++) {
		uint64_t full = 0, bare = 0;
		char lower[40];
		const char *name = cap_name(c);
		ok(name);
		is_int(cap_parse(name, &full), 0);
		size_t n = 0;
		for (const char *s = name + 4; *s; s++)
			lower[n++] = *s >= 'A' && *s <= 'Z' ? (char)(*s + 32) : *s;
		lower[n] = 0;
		is_int(cap_parse(lower, &bare), 0);
		ok(full == UINT64_C(1) << c && bare == full);
	}
	ok(!cap_name(CAP_LAST_CAP + 1));
	uint64_t all;
	is_int(cap_parse("all", &all), 0);
	ok(all == (UINT64_C(1) << (CAP_LAST_CAP + 1)) - 1);
	static const char *const wrong[] = { "", "CAP_", "CAP_X", "CAP_CHOWN ", "CAP_CAP_CHOWN", "0" };
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		is_int(cap_parse(wrong[i], &all), -EINVAL);
}

TAP_MAIN()
