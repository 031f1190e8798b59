/* SPDX-License-Identifier: MIT */
#include "supervisor/access.h"

static bool
is_listed(const struct peer *peer, const struct id_list *users, const struct id_list *groups)
{
        if (id_list_contains(users, peer->uid) || id_list_contains(groups, peer->gid))
                return true;
        for (size_t i = 0; i < peer->n_groups; i++) {
                if (id_list_contains(groups, peer->groups[i]))
                        return true;
        }
        return false;
}

bool
access_may_administer(const struct access_rules *rules, const struct peer *peer)
{
        const struct config *c = rules->config;

        return peer->uid == 0 || peer->uid == rules->self || is_listed(peer, &c->admin_users, &c->admin_groups);
}

bool
access_may_submit(const struct access_rules *rules, const struct peer *peer)
{
        const struct config *c = rules->config;

        if (c->submit_users.n == 0 && c->submit_groups.n == 0)
                return true;
        return is_listed(peer, &c->submit_users, &c->submit_groups) || access_may_administer(rules, peer);
}

bool
access_may_touch(const struct access_rules *rules, const struct peer *peer, uid_t owner)
{
        return peer->uid == owner || access_may_administer(rules, peer);
}
