/* SPDX-License-Identifier: MIT */
/*
 * Who may do what. Pure decisions over who is on the other end, as the kernel told the service at the connect(2), and
 * the rules of the configuration, in which all names have become numbers when it was read: nothing blocks, nothing is
 * asked for again. A change of the rules takes effect with the next request, also of connections that are open.
 *
 *     may                                  submit    see the result, wait,       administer: Stop, and
 *                                                    attach by id, cancel        all jobs as if they were his own
 *     root and the daemon's own user       yes       every job                   yes
 *     one of access.admin_*                yes       every job                   yes
 *     one of access.submit_*               yes       his own                     no
 *     everybody else who can connect       if no     his own                     no
 *                                          submit_*
 *                                          is given
 *
 * Everybody who can connect may see what jobs there are and the state of the daemon (Jobs, Status, Describe): the queue
 * is shared, and who waits in it may know for whom. Quotas (quota.h, clients.*) hold for everybody, also for those who
 * administer: they keep mistakes away, too.
 *
 * Whoever has no number in the daemon's user namespace has the overflow uid (65534, often named nobody), as has
 * everybody like him: list it nowhere.
 */
#ifndef CONCD_ACCESS_H
#define CONCD_ACCESS_H

#include "config/config.h"
#include "protocol/service.h"

struct access_rules {
        const struct config *config; /* its lists; borrowed */
        uid_t self;                  /* the daemon's own user */
};

bool access_may_administer(const struct access_rules *rules, const struct peer *peer);

bool access_may_submit(const struct access_rules *rules, const struct peer *peer);

/* See the result of a job of the user `owner`, wait for it, attach to it, cancel it. */
bool access_may_touch(const struct access_rules *rules, const struct peer *peer, uid_t owner);

#endif
