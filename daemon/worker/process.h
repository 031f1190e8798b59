/* SPDX-License-Identifier: MIT */
/* What a child of the supervisor does from its fork on. None of these returns. */
#ifndef CONCD_PROCESS_H
#define CONCD_PROCESS_H

#include "worker/worker.h"

/* A process worker. `supervisor` is the pid that forked it. */
_Noreturn void process_worker_main(const struct worker_setup *setup, const struct semaphores *semaphores, uint32_t slot,
                                   pid_t supervisor);

/* The thread host: keeps one thread for every thread slot that is not free, and looks again whenever its control
 * eventfd is written. */
_Noreturn void thread_host_main(const struct worker_setup *setup, const struct semaphores *semaphores,
                                pid_t supervisor);

#endif
