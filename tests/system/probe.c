/* SPDX-License-Identifier: MIT */
/*
 * Tries to get out of a sandbox, and to do what the daemon needs there. One line each on the standard output: the name,
 * and "through" or the name of the error (or of the signal) that stopped it. What is expected is test_service.py's.
 *
 *     probe FOLDER [NAME]...    all attempts, or these; FOLDER can be written to
 *     probe --plant             makes what must not be seen from inside, says "planted", waits for the end of its input
 *     probe --whoami            exit code 0: the effective user is root
 *     probe --vanish            exit code 0, and the file of the program is removed
 *
 * Each attempt is made in a child of its own. None changes anything when it gets through: either the child's own state
 * is all there is to it, or it is taken back, or its arguments are ones that the kernel refuses only after it has
 * granted the right.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLANTED_KEY  0x636f6e63 /* of a System V segment */
#define PLANTED_NAME "concd-test-planted"
#define PLANTED_FILE "/tmp/" PLANTED_NAME
#define MANY_FILES   20000 /* more than the service may open */
#define CHILDREN     100
#define THREADS      16

static const char *folder;

/* 0, or the error of a call that returned `r`. */
static int
result(long r)
{
        return r < 0 ? errno : 0;
}

/* The same for a call that fails with `harmless` once the right to it was granted. */
static int
granted(long r, int harmless)
{
        return r < 0 && errno != harmless ? errno : 0;
}

/* ── files ── */

static int
open_to(const char *path, int flags)
{
        return result(open(path, flags | O_CLOEXEC, 0600));
}

/* Makes a file and removes it. */
static int
make_file(const char *path)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r = result(fd);

        if (fd >= 0)
                unlink(path);
        return r;
}

static char *
in_folder(const char *name)
{
        static char path[4096];

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        return path;
}

/* clang-format off */
static int write_etc(void) { return make_file("/etc/concd-test"); }
static int write_usr(void) { return make_file("/usr/concd-test"); }
static int write_var(void) { return make_file("/var/lib/concd-test"); }
static int see_home(void) { return open_to("/home/alice/secret", O_RDONLY); }
static int see_root_home(void) { return open_to("/root/secret", O_RDONLY); }
static int see_planted_file(void) { return open_to(PLANTED_FILE, O_RDONLY); }
static int write_proc_sys(void) { return open_to("/proc/sys/kernel/core_pattern", O_WRONLY); }
static int write_sys(void) { return open_to("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY); }
static int write_cgroup(void) { return open_to("/sys/fs/cgroup/cgroup.procs", O_WRONLY); }
static int see_others_process(void) { return open_to("/proc/1/status", O_RDONLY); }
static int see_memory_device(void) { return open_to("/dev/mem", O_RDONLY); }
static int see_console(void) { return open_to("/dev/console", O_WRONLY); }
static int see_kernel_symbols(void) { return open_to("/proc/kallsyms", O_RDONLY); }
/* clang-format on */

static int
make_device(void)
{
        char *path = in_folder("device");
        int r = result(mknod(path, S_IFCHR | 0600, makedev(5, 1)));

        unlink(path);
        return r;
}

static int
make_setuid_file(void)
{
        char *path = in_folder("setuid");
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700), r = result(fchmod(fd, 04700));

        unlink(path);
        return r;
}

/* A file as most programs make them. */
static int
leave_readable_file(void)
{
        char *path = in_folder("readable");
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), r = result(fd);
        struct stat st = {0};

        if (fd >= 0) {
                r = result(fstat(fd, &st));
                unlink(path);
        }
        return r ? r : st.st_mode & 0077 ? 0 : EACCES;
}

/* Runs a copy of this program from a folder that can be written to. */
static int
run_own_file(void)
{
        char *path = in_folder("program"), buf[65536];
        int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
        ssize_t n;

        while ((n = read(from, buf, sizeof(buf))) > 0)
                if (write(to, buf, (size_t)n) != n)
                        return EIO;
        close(to);
        execl(path, path, "--vanish", NULL);
        n = errno;
        unlink(path);
        return (int)n;
}

static int
map_shared_memory_as_code(void)
{
        int fd = shm_open("/concd-test-code", O_RDWR | O_CREAT, 0600), r;

        shm_unlink("/concd-test-code");
        r = ftruncate(fd, 4096) < 0 ? errno : 0;
        return r ? r : result(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
}

/* ── rights ── */

static int
become_root_by_program(void)
{
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 8);

        if (n < 0)
                return errno;
        memcpy(path + n, "-setuid", 8);
        execl(path, path, "--whoami", NULL);
        return errno;
}

static int
set_realtime(void)
{
        struct sched_param param = {.sched_priority = 0}; /* out of range */

        return granted(sched_setscheduler(0, SCHED_FIFO, &param), EINVAL);
}

static int
set_clock(void)
{
        struct timex t = {.modes = ADJ_TICK, .tick = 1}; /* out of range */

        return granted(adjtimex(&t), EINVAL);
}

static int
trace_child(void)
{
        pid_t pid = fork();
        int r;

        if (pid == 0) {
                pause();
                _exit(0);
        }
        r = result(ptrace(PTRACE_SEIZE, pid, NULL, NULL));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
}

static int
read_childs_memory(void)
{
        char mine, here = 1;
        struct iovec local = {&mine, 1}, remote = {&here, 1};
        pid_t pid = fork();
        int r;

        if (pid == 0) {
                pause();
                _exit(0);
        }
        r = result(process_vm_readv(pid, &local, 1, &remote, 1, 0));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
}

static int
count_cycles(void)
{
        struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .exclude_kernel = 1};

        return result(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int
clone_namespace(void)
{
        return result(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
}

/* The flags of clone3(2) lie in memory, where a filter cannot look. */
static int
clone3_namespace(void)
{
        uint64_t args[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};

        return result(syscall(SYS_clone3, args, sizeof(args)));
}

/* A capability that a program could get by being executed. */
static int
gain_capability(void)
{
        for (int i = 0; i <= CAP_LAST_CAP; i++) {
                if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
                        return 0;
        }
        return EPERM;
}

/* One that a program has without being root or having been marked. */
static int
inherit_capability(void)
{
        for (int i = 0; i <= CAP_LAST_CAP; i++) {
                if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
                        return 0;
        }
        return EPERM;
}

/* To the name that it has. */
static int
set_hostname(void)
{
        char name[256];

        return gethostname(name, sizeof(name)) < 0 ? errno : result(sethostname(name, strlen(name)));
}

/* Where nobody else sees it, if that can be had. */
static int
mount_something(void)
{
        bool own = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
        int r = result(mount("none", "/tmp", "tmpfs", 0, NULL));

        if (r == 0 && !own)
                umount2("/tmp", MNT_DETACH);
        return r;
}

/* A key of the user, seen from another session. */
static int
find_users_key(void)
{
        long key = syscall(SYS_add_key, "user", PLANTED_NAME, "x", 1, KEY_SPEC_USER_KEYRING), r;

        if (key < 0)
                return errno;
        r = result(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", PLANTED_NAME, 0));
        syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING);
        return (int)r;
}

/* getpid() by the table of 32-bit programs. Without one this is a fault. */
static int
call_by_other_table(void)
{
#ifdef __x86_64__
        long r;

        __asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
        return r == getpid() ? 0 : ENOSYS;
#else
        return ENOSYS;
#endif
}

static int
raise_file_limit(void)
{
        struct rlimit limit = {MANY_FILES, MANY_FILES};

        return result(setrlimit(RLIMIT_NOFILE, &limit));
}

/* One step from where it is, so that it does not matter where that is. */
static int
renice(int by)
{
        int now;

        errno = 0;
        now = getpriority(PRIO_PROCESS, 0);
        return errno ? errno : result(setpriority(PRIO_PROCESS, 0, now + by));
}

/* clang-format off */
static int become_root(void) { return result(setuid(0)); }
static int drop_groups(void) { return result(syscall(SYS_setgroups, 0, NULL)); }
static int load_module(void) { return granted(syscall(SYS_finit_module, -1, "", 0), EBADF); }
static int load_kernel(void) { return granted(syscall(SYS_kexec_load, 0, 1000L, NULL, 0), EINVAL); }
static int reboot_machine(void) { return granted(syscall(SYS_reboot, 1, 2, 3, NULL), EINVAL); }
static int swap_on(void) { return granted(syscall(SYS_swapon, "", -1), EINVAL); }
static int read_kernel_log(void) { char c; return result(klogctl(3, &c, 1)); }
static int change_root(void) { return result(chroot("/tmp")); }
static int new_user_namespace(void) { return result(unshare(CLONE_NEWUSER)); }
static int new_mount_namespace(void) { return result(unshare(CLONE_NEWNS)); }
static int join_namespace(void) { return result(setns(open("/proc/self/ns/uts", O_RDONLY), CLONE_NEWUTS)); }
static int be_nicer_to_itself(void) { return renice(-1); }
static int change_personality(void) { return result(personality(PER_LINUX32)); }
static int use_keyring(void) { return result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 1)); }
static int lock_memory(void) { return result(mlockall(MCL_CURRENT)); }
static int open_io_uring(void) { return granted(syscall(SYS_io_uring_setup, 0, NULL), EFAULT); }
static int catch_faults(void) { return result(syscall(SYS_userfaultfd, O_CLOEXEC)); }
static int watch_files(void) { return result(syscall(SYS_fanotify_init, 0, O_RDONLY)); }
static int reach_ports(void) { return granted(syscall(SYS_ioperm, 0x80, 1, 0), ENODEV); }
/* clang-format on */

static int
load_bpf(void)
{
        union bpf_attr attr = {.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 4, .max_entries = 1};

        return result(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

/* ── memory ── */

static int
map_writable_code(void)
{
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return p == MAP_FAILED ? errno : 0;
}

static int
make_data_code(void)
{
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return p == MAP_FAILED ? errno : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

/* ── reaching others ── */

static int
connect_abstract(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path + 1, PLANTED_NAME, strlen(PLANTED_NAME));
        return result(connect(fd, (struct sockaddr *)&address,
                              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(PLANTED_NAME))));
}

/* To nobody, on this machine. */
static int
send_packet(void)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return fd < 0 ? errno : result(sendto(fd, "", 0, 0, (struct sockaddr *)&address, sizeof(address)));
}

/* clang-format off */
static int open_inet(void) { return result(socket(AF_INET, SOCK_STREAM, 0)); }
static int open_inet6(void) { return result(socket(AF_INET6, SOCK_DGRAM, 0)); }
static int open_raw(void) { return result(socket(AF_INET, SOCK_RAW, 1)); }
static int open_packet(void) { return result(socket(AF_PACKET, SOCK_RAW, 0)); }
static int open_netlink(void) { return result(socket(AF_NETLINK, SOCK_RAW, 0)); }
static int signal_init(void) { return result(kill(1, 0)); }
static int see_planted_memory(void) { return result(shmget(PLANTED_KEY, 0, 0)); }
/* clang-format on */

/* ── what must work ── */

static int
choose_cpu(void)
{
        cpu_set_t all, one;

        CPU_ZERO(&all);
        CPU_ZERO(&one);
        if (sched_getaffinity(0, sizeof(all), &all) < 0)
                return errno;
        for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
                if (CPU_ISSET(i, &all))
                        CPU_SET(i, &one);
        }
        return result(sched_setaffinity(0, sizeof(one), &one));
}

static int
share_memory(void)
{
        int fd = shm_open("/concd-test-memory", O_RDWR | O_CREAT | O_EXCL, 0600), r;
        char *p;

        if (fd < 0)
                return errno;
        r = posix_fallocate(fd, 0, 65536);
        p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        shm_unlink("/concd-test-memory");
        if (r || p == MAP_FAILED)
                return r ? r : errno;
        p[65535] = 1;
        return 0;
}

static int
use_semaphore(void)
{
        sem_t *sem = sem_open("/concd-test-semaphore", O_CREAT | O_EXCL, 0600, 1);

        if (sem == SEM_FAILED)
                return errno;
        sem_unlink("/concd-test-semaphore");
        return result(sem_trywait(sem));
}

static int
fork_many(void)
{
        for (int i = 0; i < CHILDREN; i++) {
                pid_t pid = fork();

                if (pid < 0)
                        return errno;
                if (pid == 0)
                        _exit(0);
        }
        for (int i = 0; i < CHILDREN; i++) {
                if (wait(NULL) < 0)
                        return errno;
        }
        return 0;
}

static void *
do_nothing(void *arg)
{
        return arg;
}

static int
start_threads(void)
{
        pthread_t threads[THREADS];

        for (int i = 0; i < THREADS; i++) {
                int r = pthread_create(&threads[i], NULL, do_nothing, NULL);

                if (r)
                        return r;
        }
        for (int i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        return 0;
}

static int
signal_by_pidfd(void)
{
        pid_t pid = fork();
        int fd, r;

        if (pid == 0) {
                pause();
                _exit(0);
        }
        fd = pidfd_open(pid, 0);
        r = fd < 0 ? errno : result(pidfd_send_signal(fd, SIGKILL, NULL, 0));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
}

/* Something must be in it. */
static int
read_file(const char *path)
{
        char c;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, &c, 1);

        return n < 0 ? errno : n == 0 ? ENODATA : 0;
}

/* clang-format off */
static int read_boot_id(void) { return read_file("/proc/sys/kernel/random/boot_id"); }
static int read_schedstat(void) { return read_file("/proc/thread-self/schedstat"); }
static int read_proc_stat(void) { return read_file("/proc/stat"); }
static int read_cpuinfo(void) { return read_file("/proc/cpuinfo"); }
static int read_own_cgroup(void) { return read_file("/proc/self/cgroup"); }
static int read_cgroup(void) { return read_file("/sys/fs/cgroup/cgroup.stat"); }
static int read_smaps(void) { return read_file("/proc/self/smaps_rollup"); }
static int write_state(void) { return make_file(in_folder("state")); }
static int write_run(void) { return make_file("/run/concd/concd-test"); }
static int write_tmp(void) { return make_file("/tmp/concd-test"); }
static int open_pair(void) { int fds[2]; return result(socketpair(AF_UNIX, SOCK_STREAM, 0, fds)); }
static int open_eventfd(void) { return result(eventfd(0, EFD_CLOEXEC)); }
static int die_with_parent(void) { return result(prctl(PR_SET_PDEATHSIG, SIGKILL)); }
static int be_nice(void) { return renice(1); }
/* clang-format on */

/* ── the table ── */

#define ROW(name)                                                                                                      \
        {                                                                                                              \
#name, name                                                                                            \
        }

static const struct {
        const char *name;
        int (*attempt)(void);
} rows[] = {
        ROW(write_etc),
        ROW(write_usr),
        ROW(write_var),
        ROW(see_home),
        ROW(see_root_home),
        ROW(see_planted_file),
        ROW(write_proc_sys),
        ROW(write_sys),
        ROW(write_cgroup),
        ROW(see_others_process),
        ROW(see_memory_device),
        ROW(see_console),
        ROW(see_kernel_symbols),
        ROW(make_device),
        ROW(make_setuid_file),
        ROW(leave_readable_file),
        ROW(run_own_file),
        ROW(map_shared_memory_as_code),
        ROW(become_root_by_program),
        ROW(become_root),
        ROW(drop_groups),
        ROW(gain_capability),
        ROW(inherit_capability),
        ROW(raise_file_limit),
        ROW(set_realtime),
        ROW(be_nicer_to_itself),
        ROW(set_clock),
        ROW(trace_child),
        ROW(read_childs_memory),
        ROW(count_cycles),
        ROW(clone_namespace),
        ROW(clone3_namespace),
        ROW(new_user_namespace),
        ROW(new_mount_namespace),
        ROW(join_namespace),
        ROW(load_module),
        ROW(load_kernel),
        ROW(reboot_machine),
        ROW(swap_on),
        ROW(set_hostname),
        ROW(read_kernel_log),
        ROW(mount_something),
        ROW(change_root),
        ROW(change_personality),
        ROW(use_keyring),
        ROW(find_users_key),
        ROW(call_by_other_table),
        ROW(lock_memory),
        ROW(open_io_uring),
        ROW(catch_faults),
        ROW(watch_files),
        ROW(reach_ports),
        ROW(load_bpf),
        ROW(map_writable_code),
        ROW(make_data_code),
        ROW(connect_abstract),
        ROW(open_inet),
        ROW(open_inet6),
        ROW(open_raw),
        ROW(open_packet),
        ROW(open_netlink),
        ROW(send_packet),
        ROW(signal_init),
        ROW(see_planted_memory),
        ROW(choose_cpu),
        ROW(share_memory),
        ROW(use_semaphore),
        ROW(fork_many),
        ROW(start_threads),
        ROW(signal_by_pidfd),
        ROW(read_boot_id),
        ROW(read_schedstat),
        ROW(read_proc_stat),
        ROW(read_cpuinfo),
        ROW(read_own_cgroup),
        ROW(read_cgroup),
        ROW(read_smaps),
        ROW(write_state),
        ROW(write_run),
        ROW(write_tmp),
        ROW(open_pair),
        ROW(open_eventfd),
        ROW(die_with_parent),
        ROW(be_nice),
};

static void
try_row(size_t i)
{
        int status = 0;
        pid_t pid;

        printf("%s ", rows[i].name);
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR);

                /* What it executes must not write here. */
                dup2(null, STDIN_FILENO);
                dup2(null, STDOUT_FILENO);
                _exit(rows[i].attempt());
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
                printf("cannot fork\n");
        else if (WIFSIGNALED(status))
                printf("SIG%s\n", sigabbrev_np(WTERMSIG(status)));
        else if (WEXITSTATUS(status) == 0)
                printf("through\n");
        else
                printf("%s\n", strerrorname_np(WEXITSTATUS(status)));
}

static int
plant(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), id = shmget(PLANTED_KEY, 4096, IPC_CREAT | 0666);
        int file = open(PLANTED_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        char c;

        memcpy(address.sun_path + 1, PLANTED_NAME, strlen(PLANTED_NAME));
        if (id < 0 || file < 0 || fchmod(file, 0644) < 0 ||
            bind(fd, (struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(PLANTED_NAME))) < 0 ||
            listen(fd, 5) < 0) {
                perror("cannot plant");
                return 1;
        }
        puts("planted");
        fflush(stdout);
        while (read(STDIN_FILENO, &c, 1) > 0)
                continue;
        return 0;
}

int
main(int argc, char **argv)
{
        if (argc < 2)
                return 64;
        if (strcmp(argv[1], "--plant") == 0)
                return plant();
        if (strcmp(argv[1], "--whoami") == 0)
                return geteuid() == 0 ? 0 : EPERM;
        if (strcmp(argv[1], "--vanish") == 0)
                return unlink(argv[0]) == 0 ? 0 : errno;
        folder = argv[1];
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                bool wanted = argc == 2;

                for (int k = 2; k < argc; k++)
                        wanted = wanted || strcmp(argv[k], rows[i].name) == 0;
                if (wanted)
                        try_row(i);
        }
        return 0;
}
