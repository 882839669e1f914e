# shellcheck shell=sh
# What a container sees, told in sections. $1 is a command that is asked, too.
section() { echo "== $1"; }
section mounts
while read -r _ _ _ root point options rest; do
    echo "$point $root $options $rest"
done </proc/self/mountinfo | sort -s -k1,1
section credentials
grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):' /proc/self/status
umask
section folder
readlink /proc/self/cwd
section environment
tr '\0' '\n' </proc/$$/environ | sort
section limits
cat /proc/self/limits /proc/self/oom_score_adj
section namespaces
for name in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$name; done
section names
cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname
section devices
for node in /dev/*; do
    echo "$(stat -c '%n %F %a %u:%g %t:%T' "$node") $(readlink "$node")"
done
section interfaces
tail -n +3 /proc/net/dev | cut -d: -f1
section cgroup
cat /proc/self/cgroup
section limited
for file in memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes \
    memory/memory.soft_limit_in_bytes memory/memory.swappiness memory/memory.oom_control \
    cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu/cpu.cfs_burst_us cpu/cpu.idle \
    cpu/cpu.rt_runtime_us pids/pids.max cpuset/cpuset.cpus cpuset/cpuset.mems \
    blkio/blkio.throttle.read_bps_device blkio/blkio.throttle.write_iops_device \
    devices/devices.list; do
    sort "/sys/fs/cgroup/$file" | while read -r line; do echo "$file: $line"; done
done 2>/dev/null
section asked
eval "$1" 2>&1
echo "$?"
