// Does one thing to a file, in one way: `change <way> <file>`. What it writes is what stood there before.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what) do { if (!(what)) { perror(#what); exit(errno == ENOSYS || errno == EPERM || errno == EINVAL ? 77 : 1); } } while (0)
static char first[4096] __attribute__((aligned(4096)));

static int opened(const char *file, int flags)
{
	int fd = open(file, O_RDONLY), out = open(file, flags, 0755);
	CHECK(fd >= 0 && out >= 0 && pread(fd, first, sizeof first, 0) > 0);
	close(fd);
	return out;
}

// One write by io_uring, without its library; `flags` of the request.
static void by_io_uring(const char *file, int flags)
{
	struct io_uring_params p = { 0 };
	int fd = opened(file, O_WRONLY), ring = syscall(__NR_io_uring_setup, 1, &p);
	CHECK(ring >= 0);
	char *sq = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *sqe = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	CHECK(sq != MAP_FAILED && (void *)sqe != MAP_FAILED);
	*sqe = (struct io_uring_sqe){ .opcode = IORING_OP_WRITE, .fd = fd, .addr = (unsigned long)first, .len = 8, .flags = flags };
	((unsigned *)(sq + p.sq_off.array))[0] = 0;
	*(volatile unsigned *)(sq + p.sq_off.tail) = 1;
	CHECK(syscall(__NR_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) == 1);
}

static void wait_for_tick(void)
{
	struct timespec t; long was;
	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	for (was = t.tv_nsec; t.tv_nsec == was;) clock_gettime(CLOCK_REALTIME_COARSE, &t);
}

// As a container does: a mount namespace whose root is an overlay, and nothing of the host's.
static void contain(const char *folder)
{
	char options[8192];
	CHECK(!unshare(CLONE_NEWNS) && !mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) && !chdir(folder));
	snprintf(options, sizeof options, "lowerdir=lower,upperdir=upper,workdir=work");
	CHECK(!mount("overlay", "merged", "overlay", 0, options) && !chdir("merged"));
	CHECK(!syscall(SYS_pivot_root, ".", ".") && !umount2(".", MNT_DETACH) && !chdir("/"));
}

static int change(const char *way, const char *file)
{
	char other[8192];
	snprintf(other, sizeof other, "%s.other", file);
	if (!strcmp(way, "write")) return write(opened(file, O_WRONLY), first, 8) != 8;
	if (!strcmp(way, "pwrite")) return pwrite(opened(file, O_WRONLY), first + 4, 8, 4) != 8;
	if (!strcmp(way, "append")) return write(opened(file, O_WRONLY | O_APPEND), "", 1) != 1;
	if (!strcmp(way, "o_direct")) return write(opened(file, O_WRONLY | O_DIRECT), first, 4096) != 4096;
	if (!strcmp(way, "io_uring")) return by_io_uring(file, 0), 0;
	if (!strcmp(way, "io_uring_worker")) return by_io_uring(file, IOSQE_ASYNC), 0;
	if (!strcmp(way, "truncate")) return open(file, O_WRONLY | O_TRUNC) < 0;
	if (!strcmp(way, "ftruncate")) { struct stat st; return stat(file, &st) || truncate(file, st.st_size + 1); }
	if (!strcmp(way, "fallocate")) { struct stat st; return stat(file, &st) || fallocate(opened(file, O_WRONLY), 0, st.st_size, 4096); }
	if (!strcmp(way, "copy_file_range") || !strcmp(way, "sendfile") || !strcmp(way, "splice")) {
		int out = opened(file, O_WRONLY), from = memfd_create("same", 0), ends[2];
		CHECK(from >= 0 && write(from, first, 64) == 64 && !lseek(from, 0, SEEK_SET) && !pipe(ends));
		if (!strcmp(way, "sendfile")) return sendfile(out, from, 0, 64) != 64;
		if (!strcmp(way, "splice")) return write(ends[1], first, 64) != 64 || splice(ends[0], 0, out, 0, 64, 0) != 64;
		snprintf(other, sizeof other, "%s.from", file);
		int beside = open(other, O_RDWR | O_CREAT, 0600);
		CHECK(write(beside, first, 64) == 64 && !lseek(beside, 0, SEEK_SET));
		return copy_file_range(beside, 0, out, 0, 64, 0) != 64;
	}
	if (!strcmp(way, "mmap") || !strcmp(way, "mmap_again")) {
		char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, opened(file, O_RDWR), 0);
		CHECK(map != MAP_FAILED);
		((volatile char *)map)[0] = first[0];
		if (!strcmp(way, "mmap")) return 0;
		// Asks to be waited for, then writes to the page that is writable already.
		puts("ready"); fflush(stdout);
		CHECK(getchar() != EOF);
		((volatile char *)map)[1] = first[1];
		return 0;
	}
	if (!strcmp(way, "write_twice_in_a_tick")) {
		// Writes, has another do the same within the same tick, and ends.
		int fd = opened(file, O_WRONLY);
		pid_t pid; int status;
		wait_for_tick();
		CHECK(write(fd, first, 8) == 8);
		if (!(pid = vfork())) { execl("/proc/self/exe", "again", "write", file, (char *)0); _exit(1); }
		return waitpid(pid, &status, 0) != pid;
	}
	if (!strcmp(way, "chmod")) return chmod(file, 0750);
	if (!strcmp(way, "chown")) return chown(file, 1, 1);
	if (!strcmp(way, "utimes")) return utimensat(AT_FDCWD, file, 0, 0);
	if (!strcmp(way, "rename")) return rename(file, other);
	if (!strcmp(way, "replace")) { int fd = open(other, O_CREAT | O_WRONLY, 0755); return write(fd, "new", 3) != 3 || rename(other, file); }
	if (!strcmp(way, "link")) return link(file, other);
	if (!strcmp(way, "unlink")) return unlink(file);
	if (!strcmp(way, "read")) { char all[65536]; int fd = open(file, O_RDONLY); return read(fd, all, sizeof all) <= 0; }
	return 2;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "contained")) {
		contain(argv[2]);
		return change(argv[3], argv[4]);
	}
	return argc == 3 ? change(argv[1], argv[2]) : 2;
}
