/* Loads libraries in every way a program can, for loads.test.ts. Says what it loaded, and waits where it is asked to. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static void *load(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		fprintf(stderr, "%s\n", dlerror());
		exit(2);
	}
	return handle;
}

/* Until stdin ends. */
static void wait_here(void)
{
	char byte;

	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

static void load_memfd(const char *path)
{
	int in = open_file(path, O_RDONLY), fd = memfd_create("payload", 0);
	char bytes[PAGE], name[64];
	long n;

	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		if (write(fd, bytes, n) != n)
			exit(2);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	load(name);
}

/* mmap2 of the 32-bit system calls, which any 64-bit program may use: nothing of it passes sys_enter_mmap. */
static long map_by_int80(int fd)
{
	long result;

	__asm__ volatile("push %%rbp; mov $0, %%ebp; int $0x80; pop %%rbp"
			 : "=a"(result)
			 : "a"(192), "b"(0), "c"(PAGE), "d"(PROT_READ | PROT_EXEC), "S"(MAP_PRIVATE), "D"(fd)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

/* Makes a mapping executable that was not: as a whole, a piece of it, behind others and with many around, or not at all. */
static void protect(const char *mode, int fd)
{
	int is_piece = !strcmp(mode, "protect-middle"), is_many = !strcmp(mode, "protect-many");
	int flags = strcmp(mode, "protect-read") ? PROT_READ | PROT_EXEC : PROT_READ;
	char *at = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	/* Mappings that cannot be joined, so that the tree has levels. */
	for (int left = is_many ? 5000 : 0; left > 0; left--)
		if (mmap(NULL, PAGE, left % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			exit(2);
	if (at == MAP_FAILED || mprotect(at + is_piece * PAGE, (is_piece ? 1 : 3) * PAGE, flags))
		exit(2);
}

static long read_all(const char *path, char *bytes, long room)
{
	int fd = open_file(path, O_RDONLY);
	long n = read(fd, bytes, room);

	close(fd);
	return n;
}

/* One of two contents of one size, in place, or as a new file under the same name. */
static void put(const char *path, const char *bytes, long size, int in_place)
{
	char fresh[PAGE];
	int fd;

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = open(in_place ? path : fresh, O_WRONLY | O_CREAT, 0755);
	if (fd < 0 || pwrite(fd, bytes, size, 0) != size)
		exit(2);
	close(fd);
	if (!in_place && rename(fresh, path))
		exit(2);
}

/* Changes a library and has it loaded by a process of its own, again and again; says which process loaded which content. */
static void storm(char *self, const char *path, char *const contents[2], int turns)
{
	static char bytes[2][1 << 20];
	long size = read_all(contents[0], bytes[0], sizeof(bytes[0]));

	if (read_all(contents[1], bytes[1], sizeof(bytes[1])) != size)
		exit(2);
	for (int turn = 0; turn < turns; turn++) {
		char *args[] = { self, "load", (char *)path, NULL };
		int which = turn % 2, status;
		pid_t child;

		put(path, bytes[which], size, turn % 3);
		/* From within the tick of the change to well past it. */
		usleep(turn % 5 * 5000);
		child = fork();
		if (!child) {
			execv(self, args);
			_exit(2);
		}
		if (turn % 7 == 0)
			unlink(path);
		waitpid(child, &status, 0);
		if (turn % 7 == 0 && access(path, F_OK))
			put(path, bytes[which], size, 0);
		printf("%d %d %d\n", child, which, status);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argv[1], *path = argv[2];

	if (argc < 3)
		return 2;
	if (!strcmp(mode, "load")) {
		for (int i = 2; i < argc; i++)
			load(argv[i]);
	} else if (!strcmp(mode, "hold")) {
		load(path);
		wait_here();
	} else if (!strcmp(mode, "turns")) {
		/* Two libraries in turns, so that none is the one before: n loads of each. */
		for (int left = atoi(argv[4]); left > 0; left--) {
			dlclose(load(path));
			dlclose(load(argv[3]));
		}
	} else if (!strcmp(mode, "memfd")) {
		load_memfd(path);
		wait_here();
	} else if (!strcmp(mode, "int80")) {
		long address = map_by_int80(open_file(path, O_RDONLY));

		if (address < 0 && address > -PAGE)
			return 3;
		wait_here();
	} else if (!strncmp(mode, "protect", 7)) {
		protect(mode, open_file(path, O_RDONLY));
		wait_here();
	} else if (!strcmp(mode, "storm")) {
		storm(argv[0], path, argv + 3, atoi(argv[5]));
	} else if (!strcmp(mode, "write")) {
		/* Keeps the file writable; its last byte changes with every byte of stdin. */
		int fd = open_file(path, O_RDWR);
		struct stat info;
		char *bytes, byte;

		fstat(fd, &info);
		bytes = mmap(NULL, info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
		puts("ready");
		fflush(stdout);
		while (read(0, &byte, 1) > 0)
			bytes[info.st_size - 1] = byte;
	}
	return 0;
}
