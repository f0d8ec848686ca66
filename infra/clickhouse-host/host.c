/*
 * Serves ClickHouse's HTTP interface from libchdb.so: a whole engine that npm delivers as one library.
 *
 *   cc -O2 -Wall -Wextra -o infra/clickhouse-host/build/clickhouse-host infra/clickhouse-host/host.c -ldl
 *
 *   clickhouse-host LIBRARY CONFIG_FILE DATA_DIR HTTP_PORT UID GID PARENT_PID
 *
 * LIBRARY is opened before privileges are dropped, everything else after. UID and GID are those to run as when started
 * as root, and are ignored otherwise. The process ends with PARENT_PID. It returns only on failure: 1, with the
 * engine's own words on stderr, or 2 when it was called wrongly.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
    " SETTINGS function_sleep_max_microseconds_per_block = 0, max_block_size = 1";

static void die(const char *what, const char *why)
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
static void wait_for_data_lock(const char *data_dir)
{
	char path[4096];
	if ((size_t)snprintf(path, sizeof path, "%s/status", data_dir) >= sizeof path)
		die("the path of the data folder is too long", data_dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		die(path, strerror(errno));
	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) && waited_ms < LOCK_WAIT_MS; waited_ms += LOCK_POLL_MS) {
		if (errno != EWOULDBLOCK)
			die(path, strerror(errno));
		nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_MS * 1000000L}, NULL);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 8) {
		fputs("usage: clickhouse-host LIBRARY CONFIG_FILE DATA_DIR HTTP_PORT UID GID PARENT_PID\n", stderr);
		return 2;
	}
	const char *library = argv[1], *config_file = argv[2], *data_dir = argv[3];
	long port = number("HTTP_PORT", argv[4], 1, 65535);
	uid_t uid = (uid_t)number("UID", argv[5], 0, 0xfffffffeL);
	gid_t gid = (gid_t)number("GID", argv[6], 0, 0xfffffffeL);
	pid_t parent = (pid_t)number("PARENT_PID", argv[7], 1, 0x7fffffffL);

	umask(077);
	setsid(); /* Ctrl-C in the terminal is for the supervisor, which stops the engine last. */
	void *engine = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!engine)
		die("cannot load the engine", dlerror());
	query_cmdline_fn query_cmdline = (query_cmdline_fn)dlsym(engine, "chdb_query_cmdline");
	result_error_fn result_error = (result_error_fn)dlsym(engine, "chdb_result_error");
	if (!query_cmdline || !result_error)
		die("cannot use the engine", dlerror());

	drop_privileges(uid, gid);
	die_with_parent(parent);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* a core file would hold rows and passwords */
	if (chdir(data_dir))
		die(data_dir, strerror(errno));
	wait_for_data_lock(data_dir);

	char config_option[4200], path_option[4200], port_option[32];
	snprintf(config_option, sizeof config_option, "--config-file=%s", config_file);
	snprintf(path_option, sizeof path_option, "--path=%s", data_dir);
	snprintf(port_option, sizeof port_option, "--http_port=%ld", port);
	char *options[] = {"clickhouse", config_option, path_option, port_option, "--listen_host=127.0.0.1",
			   (char *)serve_for_ever, NULL};
	chdb_result *result = query_cmdline(sizeof options / sizeof *options - 1, options);

	const char *error = result ? result_error(result) : NULL;
	fprintf(stderr, "clickhouse-host: the engine stopped serving%s%s\n", error ? ": " : "", error ? error : "");
	return 1;
}
