/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a program: lets the k-th call of one function fail, once or from then on. The test that drives it
 * shares struct control with it through the file $FAIL_CALL_CONTROL; test_failing_calls.py has the same layout.
 *
 * Only calls of one process are counted, the first that loads it (`owner`), or only those of its descendants, so that
 * a test says which side of a fork it means.
 */
/* Programs call open64() and the like by either name. */
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum who { WHO_NOBODY, WHO_OWNER, WHO_DESCENDANTS };

enum function {
        F_MALLOC,
        F_FORK,
        F_MMAP,
        F_SHM_OPEN,
        F_SEM_OPEN,
        F_WRITE,
        F_FCNTL,
        F_EPOLL_CTL,
        F_EPOLL_WAIT,
        F_EVENTFD,
        F_PIDFD_OPEN,
        F_FALLOCATE,
        F_SOCKET,
        F_ACCEPT,
        F_OPEN,
        F_READ,
        F_THREAD,
        FUNCTIONS
};

struct control {
        _Atomic uint32_t who; /* enum who; 0: nothing fails, nothing is counted */
        uint32_t function, persistent;
        int32_t error;
        uint64_t k; /* from 1 */
        _Atomic uint64_t counted, failed;
        _Atomic int32_t owner;
};

static struct control *control;
static bool trace; /* $FAIL_CALL_TRACE: who called is written to the standard error output */

static void __attribute__((constructor)) attach(void)
{
        const char *path = getenv("FAIL_CALL_CONTROL");
        long fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
        int32_t none = 0;
        struct control *c;

        if (fd < 0)
                return;
        c = (void *)syscall(SYS_mmap, NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
        syscall(SYS_close, fd);
        if (c == MAP_FAILED)
                return;
        atomic_compare_exchange_strong(&c->owner, &none, getpid());
        trace = getenv("FAIL_CALL_TRACE") != NULL;
        if (trace) {
                void *frame;

                backtrace(&frame, 1); /* loads what it needs */
        }
        control = c;
}

/* Is this the call that fails? errno is set then. */
static bool
fails(enum function f)
{
        struct control *c = control;
        uint32_t who = c ? atomic_load(&c->who) : WHO_NOBODY;
        uint64_t n;

        if (who == WHO_NOBODY || c->function != f || (who == WHO_OWNER) != (getpid() == atomic_load(&c->owner)))
                return false;
        n = atomic_fetch_add(&c->counted, 1) + 1;
        if (n != c->k && !(c->persistent && n > c->k))
                return false;
        atomic_fetch_add(&c->failed, 1);
        if (trace) {
                void *frames[32];

                control = NULL;
                backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
                control = c;
        }
        errno = c->error;
        return true;
}

#define NEXT(name)                                                                                                     \
        static __typeof__(name) *next;                                                                                 \
        if (!next)                                                                                                     \
        next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* A function with fixed parameters. */
#define WRAP(f, type, name, failure, parameters, arguments)                                                            \
        type name parameters                                                                                           \
        {                                                                                                              \
                NEXT(name);                                                                                            \
                return fails(f) ? (failure) : next arguments;                                                          \
        }

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

void *
malloc(size_t size)
{
        return fails(F_MALLOC) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
        return fails(F_MALLOC) ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t size)
{
        return fails(F_MALLOC) ? NULL : __libc_realloc(p, size);
}

WRAP(F_FORK, pid_t, fork, -1, (void), ())
WRAP(F_MMAP, void *, mmap, MAP_FAILED, (void *a, size_t n, int p, int fl, int fd, off_t o), (a, n, p, fl, fd, o))
WRAP(F_MMAP, void *, mmap64, MAP_FAILED, (void *a, size_t n, int p, int fl, int fd, off64_t o), (a, n, p, fl, fd, o))
WRAP(F_SHM_OPEN, int, shm_open, -1, (const char *name, int flags, mode_t mode), (name, flags, mode))
WRAP(F_WRITE, ssize_t, write, -1, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(F_READ, ssize_t, read, -1, (int fd, void *p, size_t n), (fd, p, n))
WRAP(F_EPOLL_CTL, int, epoll_ctl, -1, (int e, int op, int fd, struct epoll_event *v), (e, op, fd, v))
WRAP(F_EPOLL_WAIT, int, epoll_wait, -1, (int e, struct epoll_event *v, int n, int t), (e, v, n, t))
WRAP(F_EVENTFD, int, eventfd, -1, (unsigned n, int flags), (n, flags))
WRAP(F_PIDFD_OPEN, int, pidfd_open, -1, (pid_t pid, unsigned flags), (pid, flags))
WRAP(F_SOCKET, int, socket, -1, (int d, int t, int p), (d, t, p))
WRAP(F_ACCEPT, int, accept4, -1, (int fd, struct sockaddr *restrict a, socklen_t *restrict n, int fl), (fd, a, n, fl))

/* These return the error. */
WRAP(F_FALLOCATE, int, posix_fallocate, control->error, (int fd, off_t o, off_t n), (fd, o, n))
WRAP(F_FALLOCATE, int, posix_fallocate64, control->error, (int fd, off64_t o, off64_t n), (fd, o, n))
WRAP(F_THREAD, int, pthread_create, control->error,
     (pthread_t *restrict t, const pthread_attr_t *restrict a, void *(*fn)(void *), void *restrict x), (t, a, fn, x))

/* And these take one more argument, or not. */
#define WRAP_VARIADIC(f, type, name, failure, last, parameters, arguments)                                             \
        type name parameters                                                                                           \
        {                                                                                                              \
                va_list args;                                                                                          \
                long more;                                                                                             \
                NEXT(name);                                                                                            \
                va_start(args, last);                                                                                  \
                more = va_arg(args, long);                                                                             \
                va_end(args);                                                                                          \
                return fails(f) ? (failure) : next arguments;                                                          \
        }

WRAP_VARIADIC(F_FCNTL, int, fcntl, -1, op, (int fd, int op, ...), (fd, op, more))
WRAP_VARIADIC(F_FCNTL, int, fcntl64, -1, op, (int fd, int op, ...), (fd, op, more))
WRAP_VARIADIC(F_OPEN, int, open, -1, flags, (const char *path, int flags, ...), (path, flags, more))
WRAP_VARIADIC(F_OPEN, int, open64, -1, flags, (const char *path, int flags, ...), (path, flags, more))

sem_t *
sem_open(const char *name, int flags, ...)
{
        va_list args;
        long mode, value;
        NEXT(sem_open);

        va_start(args, flags);
        mode = va_arg(args, long);
        value = va_arg(args, long);
        va_end(args);
        return fails(F_SEM_OPEN) ? SEM_FAILED : next(name, flags, mode, value);
}
