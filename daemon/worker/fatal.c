/* SPDX-License-Identifier: MIT */
#include "worker/fatal.h"

#include "shared/base.h"

#include <errno.h>
#include <signal.h>

static const int own_signals[] = {
        SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ, SIGPIPE, SIGALRM,
};

static __thread struct {
        struct slot *slot;
        uint64_t task;
        void *stack;
} self;

bool
fatal_signal_is_own(int signal)
{
        for (size_t i = 0; i < ARRAY_SIZE(own_signals); i++) {
                if (own_signals[i] == signal)
                        return true;
        }
        return false;
}

static void
mark(enum blame blame, int value)
{
        if (!self.slot)
                return;
        atomic_store_explicit(&self.slot->blame_value, value, memory_order_relaxed);
        if (self.task != UINT64_MAX)
                atomic_store_explicit(&self.slot->blame_task, self.task + 1, memory_order_relaxed);
        atomic_store_explicit(&self.slot->blame, blame, memory_order_release);
}

static void
on_fatal(int signal_number)
{
        mark(BLAME_SIGNAL, signal_number);
        signal(signal_number, SIG_DFL);
        /* Pending until this handler returns, and then fatal. */
        raise(signal_number);
}

static void
on_exit_called(int status, void *arg)
{
        mark(BLAME_EXIT, status);
        _exit(status);
}

int
fatal_install(bool signals)
{
        struct sigaction action = {.sa_handler = signals ? on_fatal : SIG_DFL, .sa_flags = SA_ONSTACK};

        sigemptyset(&action.sa_mask);
        for (size_t i = 0; i < ARRAY_SIZE(own_signals); i++) {
                if (sigaction(own_signals[i], &action, NULL) < 0)
                        return -errno;
        }
        return on_exit(on_exit_called, NULL) == 0 ? 0 : -ENOMEM;
}

int
fatal_enter(struct slot *slot, uint64_t task, bool stack)
{
        stack_t alternate = {0};

        self.slot = slot;
        self.task = task;
        if (!stack)
                return 0;
        alternate.ss_size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 16384;
        alternate.ss_sp = malloc(alternate.ss_size);
        if (!alternate.ss_sp)
                return -ENOMEM;
        if (sigaltstack(&alternate, NULL) < 0) {
                int r = -errno;

                free(alternate.ss_sp);
                return r;
        }
        self.stack = alternate.ss_sp;
        return 0;
}

void
fatal_leave(void)
{
        stack_t off = {.ss_flags = SS_DISABLE};

        self.slot = NULL;
        if (!self.stack)
                return;
        sigaltstack(&off, NULL);
        free(self.stack);
        self.stack = NULL;
}
