/* SPDX-License-Identifier: Apache-2.0 */
/* Ends at once; with a second argument it deletes the file it was started from. Without libc, so that copies are small. */
static long call(long number, const char *a)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a) : "rcx", "r11", "memory");
	return result;
}

__attribute__((used)) static void start(long *stack)
{
	char **argv = (char **)(stack + 1);

	if (stack[0] > 2)
		call(87, argv[0]); /* unlink */
	call(231, 0); /* exit_group */
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
