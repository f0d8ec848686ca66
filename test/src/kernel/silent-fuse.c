/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A FUSE server with one file, "tool". From SIGUSR1 on it answers nothing any more, for good. The protocol is
 * include/uapi/linux/fuse.h; mounting needs CAP_SYS_ADMIN, and no library.
 *   silent-fuse MOUNTPOINT FILE    serves FILE's bytes; prints a line when it is mounted
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ROOT FUSE_ROOT_ID
#define TOOL 2

static char request[1 << 17], content[1 << 16];
static long size;
static int device;
static volatile sig_atomic_t silent;

static void fall_silent(int signal)
{
	(void)signal;
	silent = 1;
}

static void reply(__u64 unique, int error, const void *body, size_t length)
{
	struct fuse_out_header head = { .len = sizeof(head) + length, .error = error, .unique = unique };
	struct iovec parts[] = { { &head, sizeof(head) }, { (void *)body, length } };

	if (writev(device, parts, 2) < 0)
		perror("reply");
}

static struct fuse_attr attributes(__u64 node)
{
	struct fuse_attr attr = { .ino = node, .nlink = 1, .blksize = 4096 };

	attr.mode = node == ROOT ? S_IFDIR | 0755 : S_IFREG | 0755;
	attr.size = node == ROOT ? 0 : size;
	return attr;
}

static void answer(struct fuse_in_header *in, void *body)
{
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096 };
	struct fuse_attr_out attr = { .attr_valid = 0, .attr = attributes(in->nodeid) };
	struct fuse_entry_out entry = { .nodeid = TOOL, .attr_valid = 0, .attr = attributes(TOOL) };
	struct fuse_open_out opened = { .fh = 1 };
	struct fuse_read_in *wanted = body;
	long left;

	switch (in->opcode) {
	case FUSE_INIT:
		return reply(in->unique, 0, &init, sizeof(init));
	case FUSE_GETATTR:
		return reply(in->unique, 0, &attr, sizeof(attr));
	case FUSE_LOOKUP:
		if (strcmp(body, "tool"))
			return reply(in->unique, -ENOENT, NULL, 0);
		return reply(in->unique, 0, &entry, sizeof(entry));
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return reply(in->unique, 0, &opened, sizeof(opened));
	case FUSE_READ:
		left = wanted->offset < (__u64)size ? size - (long)wanted->offset : 0;
		return reply(in->unique, 0, content + (left ? wanted->offset : 0), left < wanted->size ? left : wanted->size);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		return reply(in->unique, 0, NULL, 0);
	default:
		return reply(in->unique, -ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	long length;
	char options[128];
	int file;

	if (argc != 3 || (file = open(argv[2], O_RDONLY)) < 0 || (size = read(file, content, sizeof(content))) < 0)
		return 2;
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", device);
	if (device < 0 || mount("silent", argv[1], "fuse.silent", MS_NODEV, options)) {
		perror("mounting FUSE");
		return 1;
	}
	signal(SIGUSR1, fall_silent);
	puts("mounted");
	fflush(stdout);
	while ((length = read(device, request, sizeof(request))) > 0 || errno == EINTR || errno == ENOENT)
		if (length > 0 && !silent)
			answer((void *)request, request + sizeof(struct fuse_in_header));
	return 0;
}
