/* SPDX-License-Identifier: MIT */
#include "supervisor/audit.h"

#include "shared/clock.h"
#include "shared/log.h"
#include "supervisor/events.h"
#include "supervisor/user-name.h"

/* Frees the place. */
static void
forget(struct audit_user *user, enum audit_kind kind)
{
        if (user->unlogged > 0)
                log_warning("denied: %llu more requests of uid %u within a minute, %s",
                            (unsigned long long)user->unlogged, (unsigned)user->uid,
                            kind == AUDIT_NOT_PERMITTED ? "not permitted" : "for other reasons");
        *user = (struct audit_user){0};
}

/* Those whose minute was over at that time. */
static void
forget_before(struct audit *a, uint64_t now_ns)
{
        for (size_t i = 0; i < AUDIT_KINDS * AUDIT_USERS; i++) {
                enum audit_kind kind = i / AUDIT_USERS;
                struct audit_user *user = &a->users[kind][i % AUDIT_USERS];

                if (user->lines > 0 && now_ns - user->began_ns >= AUDIT_MINUTE_NS)
                        forget(user, kind);
        }
}

/* The user's place, or a free one; if there is none, the one whose minute is oldest is made free. */
static struct audit_user *
find_place(struct audit *a, enum audit_kind kind, uid_t uid)
{
        struct audit_user *users = a->users[kind], *place = users;

        for (size_t i = 0; i < AUDIT_USERS; i++) {
                if (users[i].lines > 0 && users[i].uid == uid)
                        return &users[i];
                /* A free one began at 0. */
                if (users[i].began_ns < place->began_ns)
                        place = &users[i];
        }
        forget(place, kind);
        return place;
}

bool
audit_admits(struct audit *a, enum audit_kind kind, uid_t uid, uint64_t now_ns)
{
        struct audit_user *user;

        forget_before(a, now_ns);
        user = find_place(a, kind, uid);
        if (user->lines == 0)
                *user = (struct audit_user){.uid = uid, .began_ns = now_ns};
        if (user->lines == AUDIT_LINES) {
                user->unlogged++;
                return false;
        }
        user->lines++;
        return true;
}

void
audit_denied(struct audit *a, enum audit_kind kind, const struct peer *peer, const char *method, const char *object,
             const char *why)
{
        AUTO_FREE char *name = NULL;

        if (!audit_admits(a, kind, peer->uid, clock_now_ns()))
                return;
        name = user_name(peer->uid);
        event_of_denial(peer, method, object, why, "denied: %s%s%s to %s (uid %u, pid %d): %s", method,
                        object ? " " : "", object ? object : "", name ? name : "?", (unsigned)peer->uid, (int)peer->pid,
                        why);
}

void
audit_refused(struct audit *a, const struct peer *peer, const char *what, const char *why)
{
        AUTO_FREE char *name = NULL;

        if (!audit_admits(a, AUDIT_OTHER, peer->uid, clock_now_ns()))
                return;
        name = user_name(peer->uid);
        event_of_denial(peer, NULL, NULL, why, "denied: %s to %s (uid %u, pid %d): %s", what, name ? name : "?",
                        (unsigned)peer->uid, (int)peer->pid, why);
}

void
audit_deinit(struct audit *a)
{
        for (size_t i = 0; i < AUDIT_KINDS * AUDIT_USERS; i++)
                forget(&a->users[i / AUDIT_USERS][i % AUDIT_USERS], i / AUDIT_USERS);
}
