/*
 * Serves ClickHouse's HTTP interface from libchdb.so: a whole engine that npm delivers as one library.
 *
 *   cc -O2 -Wall -Wextra -o infra/clickhouse-host/build/clickhouse-host infra/clickhouse-host/host.c -ldl
 *
 *   clickhouse-host LIBRARY WORK_DIR CONFIG_NAME HTTP_PORT UID GID PARENT_PID
 *
 * LIBRARY is opened before privileges are dropped; the rest after: CONFIG_NAME and data/ in WORK_DIR. UID and GID are
 * those to run as when started as root, and are ignored otherwise. The process ends with PARENT_PID. It returns only
 * on failure: 1, with the engine's own words on stderr, or 2 when it was called wrongly.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The part of chdb.h that is used; the npm package carries no header. */
typedef struct chdb_result chdb_result;
typedef chdb_result *(*query_cmdline_fn)(int argc, char **argv);
typedef const char *(*result_error_fn)(chdb_result *result);

enum { LOCK_WAIT_MS = 10000, LOCK_POLL_MS = 50 };

/* The engine serves as long as its command line has a query to answer: this one sleeps for 95 years, 3 s a block. */
static const char serve_for_ever[] =
    "--query=SYSTEM START LISTEN HTTP;"
    " SELECT sleepEachRow(3) FROM numbers(1000000000) FORMAT Null"
    " SETTINGS function_sleep_max_microseconds_per_block = 0, max_block_size = 1, interactive_delay = 3000000";

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "clickhouse-host: %s: %s\n", what, why);
	exit(1);
}

static long number(const char *name, const char *text, long min, long max)
{
	char *end;
	errno = 0;
	long value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max) {
		fprintf(stderr, "clickhouse-host: %s is not a number from %ld to %ld: %s\n", name, min, max, text);
		exit(2);
	}
	return value;
}

static void drop_privileges(uid_t uid, gid_t gid)
{
	if (geteuid() == 0) {
		if (uid == 0 || gid == 0)
			die("cannot start", "the engine never runs as root");
		if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
			die("cannot drop privileges", strerror(errno));
		if (setresuid(0, 0, 0) == 0)
			die("cannot drop privileges", "root could be regained");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("cannot set no_new_privs", strerror(errno));
}

/* Of linux/landlock.h and asm/unistd.h, as the headers of older systems lack the newer halves. */
enum {
	SYS_CREATE_RULESET = 444,
	SYS_ADD_RULE = 445,
	SYS_RESTRICT_SELF = 446,
	RULE_PATH_BENEATH = 1,
	RULE_NET_PORT = 2,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_ABI_2 = (1 << 14) - 1, /* all of the first version, and moving between folders, which the engine does */
	FS_TRUNCATE = 1 << 14,    /* version 3 */
	FS_IOCTL_DEV = 1 << 15,   /* version 5 */
	NET_BIND_TCP = 1 << 0,    /* version 4 */
	NET_CONNECT_TCP = 1 << 1,
};

struct ruleset {
	uint64_t fs, net;
};

struct path_rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed)); /* as the kernel's is */

struct port_rule {
	uint64_t allowed, port;
};

static void allow_path(int ruleset, const char *path, uint64_t allowed)
{
	struct path_rule rule = {allowed, open(path, O_PATH | O_CLOEXEC)};
	if (rule.fd < 0)
		return; /* what is not there needs no leave */
	if (syscall(SYS_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0))
		die(path, strerror(errno));
	close(rule.fd);
}

/*
 * Keeps the engine to its own folder and port in the kernel's eyes: its functions file() and sqlite(), and disks that
 * a CREATE TABLE makes up, ask for no grant. Needs a single thread, as it binds the calling one and its children.
 */
static void confine(const char *work_dir, long port)
{
	struct stat threads;
	if (stat("/proc/self/task", &threads) || threads.st_nlink != 3)
		die("cannot confine the engine", "it has started threads already");
	long version = syscall(SYS_CREATE_RULESET, NULL, 0, 1);
	if (version < 2) {
		fputs("clickhouse-host: no Landlock in this kernel (Linux 5.19): the engine can read what its user can\n",
		      stderr);
		return;
	}
	struct ruleset rules = {FS_ABI_2, NET_BIND_TCP | NET_CONNECT_TCP};
	rules.fs |= version >= 3 ? FS_TRUNCATE : 0;
	rules.fs |= version >= 5 ? FS_IOCTL_DEV : 0;
	int ruleset = (int)syscall(SYS_CREATE_RULESET, &rules, version >= 4 ? sizeof rules : sizeof rules.fs, 0);
	if (ruleset < 0)
		die("cannot confine the engine", strerror(errno));
	allow_path(ruleset, work_dir, rules.fs & ~1ULL); /* all but running a file */
	allow_path(ruleset, "/proc", FS_READ_FILE | FS_READ_DIR);
	allow_path(ruleset, "/sys", FS_READ_FILE | FS_READ_DIR);
	allow_path(ruleset, "/dev/null", FS_READ_FILE | FS_WRITE_FILE);
	allow_path(ruleset, "/dev/urandom", FS_READ_FILE);
	allow_path(ruleset, "/usr/share/zoneinfo", FS_READ_FILE | FS_READ_DIR);
	struct port_rule listen = {NET_BIND_TCP, (uint64_t)port};
	if (version >= 4 && syscall(SYS_ADD_RULE, ruleset, RULE_NET_PORT, &listen, 0))
		die("cannot confine the engine", strerror(errno));
	if (syscall(SYS_RESTRICT_SELF, ruleset, 0))
		die("cannot confine the engine", strerror(errno));
	close(ruleset);
}

/* The kernel forgets the death signal when credentials change, so this comes after them. */
static void die_with_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		die("cannot follow the parent", strerror(errno));
	if (getppid() != parent)
		die("cannot follow the parent", "it is gone");
}

/*
 * The engine gives up at once when another one holds the folder, as one that was just killed may for a moment.
 * Waits for the lock and lets it go again; who still holds it after that, the engine itself will name.
 */
static void wait_for_data_lock(void)
{
	int fd = open("data/status", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		die("data/status", strerror(errno));
	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) && waited_ms < LOCK_WAIT_MS; waited_ms += LOCK_POLL_MS) {
		if (errno != EWOULDBLOCK)
			die("data/status", strerror(errno));
		nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_MS * 1000000L}, NULL);
	}
	close(fd);
}

static int serve(void *engine, const char *work_dir, const char *config_name, long port)
{
	query_cmdline_fn query_cmdline = (query_cmdline_fn)dlsym(engine, "chdb_query_cmdline");
	result_error_fn result_error = (result_error_fn)dlsym(engine, "chdb_result_error");
	if (!query_cmdline || !result_error)
		die("cannot use the engine", dlerror());
	char *config_option, *path_option, *port_option;
	if (asprintf(&config_option, "--config-file=%s/%s", work_dir, config_name) < 0 ||
	    asprintf(&path_option, "--path=%s/data", work_dir) < 0 || asprintf(&port_option, "--http_port=%ld", port) < 0)
		die("cannot start", "out of memory");
	if (access(config_name, R_OK)) /* the engine would serve everything to everyone without its configuration */
		die(config_name, strerror(errno));
	char *options[] = {"clickhouse",     config_option,          path_option, port_option, "--listen_host=127.0.0.1",
			   (char *)serve_for_ever, NULL};
	chdb_result *result = query_cmdline(sizeof options / sizeof *options - 1, options);
	const char *error = result ? result_error(result) : NULL;
	fprintf(stderr, "clickhouse-host: the engine stopped serving%s%s\n", error ? ": " : "", error ? error : "");
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 8) {
		fputs("usage: clickhouse-host LIBRARY WORK_DIR CONFIG_NAME HTTP_PORT UID GID PARENT_PID\n", stderr);
		return 2;
	}
	const char *library = argv[1], *work_dir = argv[2], *config_name = argv[3];
	long port = number("HTTP_PORT", argv[4], 1, 65535);
	uid_t uid = (uid_t)number("UID", argv[5], 0, 0xfffffffeL);
	gid_t gid = (gid_t)number("GID", argv[6], 0, 0xfffffffeL);
	pid_t parent = (pid_t)number("PARENT_PID", argv[7], 1, 0x7fffffffL);

	umask(077);
	setsid(); /* Ctrl-C in the terminal is for the supervisor, which stops the engine last. */
	void *engine = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!engine)
		die("cannot load the engine", dlerror());

	drop_privileges(uid, gid);
	die_with_parent(parent);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* a core file would hold rows and passwords */
	if (chdir(work_dir))
		die(work_dir, strerror(errno));
	wait_for_data_lock();
	confine(work_dir, port);
	return serve(engine, work_dir, config_name, port);
}
