/*
 * One shard of a cluster on this machine: libchdb.so, serving HTTP and the native protocol its shards speak.
 *
 *   engine LIBRARY FOLDER HTTP_PORT TCP_PORT
 *
 * FOLDER holds config.xml and data/. For tests only: it drops no privileges and confines nothing.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

typedef void *(*query_cmdline_fn)(int argc, char **argv);

int main(int argc, char **argv)
{
	static char serve[] = "--query=SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP;"
			      " SELECT sleepEachRow(3) FROM numbers(1000000000) FORMAT Null"
			      " SETTINGS function_sleep_max_microseconds_per_block = 0, max_block_size = 1";
	char http[64], tcp[64];
	void *library;
	query_cmdline_fn query;

	if (argc != 5 || chdir(argv[2]) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return 2;
	library = dlopen(argv[1], RTLD_NOW);
	query = library ? (query_cmdline_fn)dlsym(library, "chdb_query_cmdline") : NULL;
	if (!query) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	snprintf(http, sizeof(http), "--http_port=%s", argv[3]);
	snprintf(tcp, sizeof(tcp), "--tcp_port=%s", argv[4]);
	char *args[] = { "clickhouse", "--path=data", "--config-file=config.xml", "--listen_host=127.0.0.1", http, tcp, serve };

	query(sizeof(args) / sizeof(*args), args);
	return 1;
}
